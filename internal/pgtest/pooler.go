package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
	folder, err := os.MkdirTemp("", "pupwasm-pooler-")
	if err != nil {
		return "", nil, fmt.Errorf("creating a folder for the pooler: %w", err)
	}
	port, err := pgserver.FreePort()
	if err != nil {
		return "", nil, err
	}
	settings, log := filepath.Join(folder, "pgbouncer.ini"), filepath.Join(folder, "log")
	if err := errors.Join(
		os.Chmod(folder, 0o755), os.WriteFile(log, nil, 0o666), os.Chmod(log, 0o666),
		os.WriteFile(settings, fmt.Appendf(nil, poolerSettings, s.Port, port), 0o644),
	); err != nil {
		return "", nil, fmt.Errorf("preparing the pooler: %w", err)
	}
	read, life, err := os.Pipe()
	if err != nil {
		return "", nil, fmt.Errorf("creating a pipe: %w", err)
	}
	defer read.Close()
	guard := exec.Command("/bin/sh", "-c", pgserver.GuardScript, "guard", bin, settings)
	guard.Dir = folder
	guard.Env = append(os.Environ(), "SIGNAL=TERM", "LOG="+log)
	guard.ExtraFiles = []*os.File{read}
	guard.SysProcAttr = &syscall.SysProcAttr{Credential: s.Owner, Setpgid: true}
	if err := guard.Start(); err != nil {
		life.Close()
		return "", nil, fmt.Errorf("starting pgbouncer: %w", err)
	}
	stop = func() {
		life.Close()
		_ = guard.Wait()
		os.RemoveAll(folder)
	}
	dsn = strings.Replace(d.DSN, fmt.Sprintf(":%d/", s.Port), fmt.Sprintf(":%d/", port), 1)
	if err := awaitAnswer(dsn); err != nil {
		text, _ := os.ReadFile(log)
		stop()
		return "", nil, fmt.Errorf("pgbouncer does not answer: %w: %s", err, text)
	}
	return dsn, stop, nil
}

func awaitAnswer(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
