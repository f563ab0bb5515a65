package mysql_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestErrors_ofSettings of the server name what to set.
func TestErrors_ofSettings(t *testing.T) {
	t.Parallel()
	says := func(err error, words ...string) {
		t.Helper()
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, must say %q", err, word)
			}
		}
	}
	server, err := mariadbserver.Start("log-bin=b", "binlog-format=STATEMENT", "innodb-page-size=4k")
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	db := at.Connect(t)
	says(open(t, at.URL, mysql.Options{}).Migrate(t.Context()), "set binlog_format = MIXED or ROW")
	execute(t, db, "SET GLOBAL binlog_format = 'MIXED'")
	says(open(t, at.URL, mysql.Options{}).Migrate(t.Context()), "innodb_page_size of 16k")
	execute(t, db, "SET GLOBAL require_secure_transport = 1")
	demanding := open(t, at.URL, mysql.Options{})
	says(demanding.Ping(t.Context()), "add ?tls=true")
	execute(t, db, "SET GLOBAL require_secure_transport = 0")
}

// TestErrors_ofAnotherServer at the port, or of one that says nothing.
func TestErrors_ofAnotherServer(t *testing.T) {
	t.Parallel()
	for banner, want := range map[string]string{
		"":                         "no MariaDB server answers at ",
		"SSH-2.0-OpenSSH_9.2\r\n":  "no MariaDB server answers at ",
		"\x05\x00\x00\x07\x0afive": " is no MariaDB server: correct the host or the port of the URL",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte(banner))
				defer conn.Close()
			}
		}()
		s := open(t, "mysql://u@"+listener.Addr().String()+"/shop?timeout="+(200*time.Millisecond).String(), mysql.Options{})
		err = s.Ping(t.Context())
		if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), listener.Addr().String()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", banner, err)
		}
	}
}
