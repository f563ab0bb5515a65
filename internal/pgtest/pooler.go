package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/guarded"
	"github.com/pupwasm/pupwasm/internal/pgserver"
)

// Pooler starts a private pgbouncer in front of the server that works by transaction, and returns the database's DSN
// through it. It ends with the test, and with the test process.
//
// A test that needs it is skipped where it is not installed, unless PUPWASM_REQUIRE_TINYGO is set, as it is by 'make
// test'.
func (d Database) Pooler(t testing.TB) (dsn string) {
	t.Helper()
	bin := findPooler()
	if bin == "" && os.Getenv("PUPWASM_REQUIRE_TINYGO") == "" {
		t.Skip("pgbouncer is not installed: 'make postgres' installs it")
	}
	if bin == "" {
		t.Fatal("this test needs pgbouncer: 'make postgres' installs it")
	}
	dsn, stop, err := d.Server.startPooler(bin, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return dsn
}

func findPooler() string {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// poolerSettings has few connections, so that clients share them and a session is never where it was.
const poolerSettings = `[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
server_idle_timeout = 5
`

func (s *Server) startPooler(bin string, d Database) (dsn string, stop func(), err error) {
	process, err := s.Beside(pgserver.FolderPrefix)
	if err != nil {
		return "", nil, err
	}
	port, err := guarded.FreePort()
	if err != nil {
		return "", nil, err
	}
	settings := filepath.Join(process.Folder, "pgbouncer.ini")
	if err := os.WriteFile(settings, fmt.Appendf(nil, poolerSettings, s.Port, port), 0o644); err != nil {
		return "", nil, fmt.Errorf("preparing the pooler: %w", err)
	}
	if err := process.Start("TERM", bin, settings); err != nil {
		return "", nil, err
	}
	dsn = strings.Replace(d.DSN, fmt.Sprintf(":%d/", s.Port), fmt.Sprintf(":%d/", port), 1)
	err = process.Await(func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		process.Stop()
		return "", nil, err
	}
	return dsn, process.Stop, nil
}
