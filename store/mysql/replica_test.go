package mysql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestHorizon_ofAReplica that takes writes is refused, while it is one.
func TestHorizon_ofAReplica(t *testing.T) {
	t.Parallel()
	start := func(id string) *mariadbserver.Server {
		server, err := mariadbserver.Start("log-bin=b", "binlog-format=ROW", "server-id="+id)
		must(t, err)
		t.Cleanup(server.Stop)
		return server
	}
	primary, replica := start("1"), start("2")
	ours := mariadbtest.On(t, primary)
	theirs := mariadbtest.Database{Name: ours.Name, Server: replica, URL: replica.URL(ours.Name)}
	handle, err := sql.Open("mysql", replica.DSN(""))
	must(t, err)
	t.Cleanup(func() { _ = handle.Close() })
	run := func(text string) {
		t.Helper()
		execute(t, handle, text)
	}
	run("CREATE USER host")
	run("GRANT SELECT, UPDATE, EXECUTE ON `" + ours.Name + "`.* TO host")
	follow := fmt.Sprintf("CHANGE MASTER 'stream' TO master_host = '127.0.0.1', master_port = %d, master_user = 'root', "+
		"master_use_gtid = slave_pos", primary.Port)
	run(follow)
	run("START SLAVE 'stream'")
	ours.Migrate(t, "pupwasm")
	l := newLog(t, ours)
	l.add()
	all := theirs.Connect(t)
	arrived := func(n int) {
		t.Helper()
		testwait.Until(t, "the events have arrived", func() bool {
			var there int
			return all.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pupwasm__events").Scan(&there) == nil && there == n
		})
	}
	arrived(1)
	root, host := open(t, theirs.URL, mysql.Options{}), open(t, replica.URLAs("host", "", ours.Name), mysql.Options{})
	refused := func(s mysql.Backend, from string) {
		t.Helper()
		_, err := s.Horizon(t.Context())
		for _, err := range []error{err, s.CheckLog(t.Context())} {
			var unsafe *store.UnsafeLogError
			if !errors.As(err, &unsafe) || len(unsafe.Faults) != 1 || strings.Contains(err.Error(), "\n") ||
				!strings.Contains(err.Error(), fmt.Sprintf(":%d is a replica of %s", replica.Port, from)) ||
				!strings.Contains(err.Error(), "name the primary in the database URL") {
				t.Errorf("a replica: %v", err)
			}
		}
	}
	known := fmt.Sprintf("127.0.0.1:%d", primary.Port)
	refused(root, known)
	refused(host, "another server")
	run("SET GLOBAL read_only = 1")
	if _, err := root.Horizon(t.Context()); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("of one that takes no writes: %v", err)
	}
	must(t, root.CheckLog(t.Context()))
	run("SET GLOBAL read_only = 0")

	run("STOP ALL SLAVES") // which an ordinary user does not see; nothing is applied meanwhile
	refused(root, known)
	if h, err := host.Horizon(t.Context()); err != nil || h.Position != 1 {
		t.Errorf("the horizon is %+v, %v", h, err)
	}
	l.add()
	run("START SLAVE 'stream'")
	arrived(2)
	refused(host, "another server")

	run("STOP ALL SLAVES")
	run("RESET SLAVE 'stream' ALL")
	for _, s := range []mysql.Backend{root, host} {
		must(t, s.CheckLog(t.Context()))
		if h, err := s.Horizon(t.Context()); err != nil || h.Position != 2 {
			t.Errorf("of a server that was promoted the horizon is %+v, %v", h, err)
		}
	}
	run(follow)
	refused(open(t, theirs.URL, mysql.Options{}), known)
}
