package mysql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestHorizon_isRefused by servers that do not know which appends are under way, while they do not.
func TestHorizon_isRefused(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	l := newLog(t, at)
	last := l.add()
	refused := func(what string) error {
		t.Helper()
		_, err := l.store.Horizon(t.Context())
		if err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, must say %q", err, what)
		}
		return err
	}
	for range 2 {
		l.execute(l.sql, "SET GLOBAL read_only = 1")
		if err := refused("a replica, or a server that takes no writes"); !errors.Is(err, store.ErrTransient) ||
			!errors.Is(err, store.ErrReadOnly) {
			t.Error(err)
		}
		l.execute(l.sql, "SET GLOBAL read_only = 0")
		if h := l.free(); h.Position != last {
			t.Errorf("when it takes writes again the horizon is %+v", h)
		}
	}
	l.execute(l.sql, "SET GLOBAL auto_increment_increment = 3")
	l.store = open(t, at.URL, mysql.Options{})
	refused("in steps of 3: set auto_increment_increment = 1")
	l.execute(l.sql, "SET GLOBAL auto_increment_increment = 1")
	l.store = open(t, at.URL, mysql.Options{})
	l.free()
	l.execute(l.sql, "DROP TRIGGER pupwasm__events_fence")
	l.store = open(t, at.URL, mysql.Options{})
	var unsafe *store.UnsafeLogError
	if err := refused("pupwasm__events lacks the triggers pupwasm__events_fence"); !errors.As(err, &unsafe) {
		t.Error(err)
	}
}

func TestServer_galeraIsRefused(t *testing.T) {
	t.Parallel()
	const url = "mysql://127.0.0.1:1/x"
	err := mysql.RefuseGalera(false)
	if err == nil || !strings.Contains(err.Error(), "galera=single-writer") {
		t.Error(err)
	}
	must(t, mysql.RefuseGalera(true))
	if _, err := mysql.ParseURL(url + "?galera=single-writer"); err != nil {
		t.Error(err)
	}
	if _, err := mysql.ParseURL(url + "?galera=yes"); err == nil || !strings.Contains(err.Error(), "use galera=single-writer") {
		t.Error(err)
	}
}

func TestDiagnose_findsWhatIsUnwise(t *testing.T) {
	t.Parallel()
	server, err := mariadbserver.StartDurable("innodb-autoinc-lock-mode=1", "max-allowed-packet=1M", "log-bin=b",
		"sync-binlog=0", "innodb-flush-log-at-trx-commit=2", "innodb-buffer-pool-size=32M")
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	warnings := func(s mysql.Backend) string {
		t.Helper()
		all, err := s.Diagnose(t.Context())
		must(t, err)
		var warned []string
		for _, d := range all {
			if d.Severity == store.SeverityWarning {
				warned = append(warned, d.Check)
			}
		}
		return strings.Join(warned, " ")
	}
	if got := warnings(open(t, at.URL, mysql.Options{})); got != "server binary log auto-increment packet user" {
		t.Errorf("warned of %s", got)
	}
	l := newLog(t, at)
	l.execute(l.sql, "CREATE USER host IDENTIFIED BY 'secret'; GRANT SELECT, EXECUTE ON `"+at.Name+"`.* TO host; "+
		"SET GLOBAL max_allowed_packet = 67108864, GLOBAL sync_binlog = 1, GLOBAL innodb_flush_log_at_trx_commit = 1")
	if got := warnings(open(t, server.URLAs("host", "secret", at.Name), mysql.Options{})); got != "auto-increment" {
		t.Errorf("warned of %s", got)
	}
}
