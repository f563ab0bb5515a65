// Package pgtest gives tests a private PostgreSQL server and a fresh schema each.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		db := pgtest.New(t) // db.DSN, db.Schema
//	}
//
// Package pgserver starts the server, when the first test asks.
package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pupwasm/pupwasm/internal/pgserver"
)

// Server is one running PostgreSQL server.
type Server struct {
	*pgserver.Server

	standby  bool      // or lost, or retired: its databases are not dropped
	migrated sync.Once // makes the database that others are copies of
}

var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Main runs the tests of a package and stops the server afterwards. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	return code
}

// MainWithoutLeaks is Main, and fails when the tests have left a goroutine behind.
func MainWithoutLeaks(m *testing.M) int {
	code := Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Shared returns the server of this test process.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Start()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// settings make the faults of a server visible.
var settings = []string{
	"autovacuum_naptime=10s",
	"max_prepared_transactions=10",
	// Prepared transactions are tested, and so are notifications, which they exclude.
	"pupwasm.notify=on",
	// A standby does not wait for five seconds after its primary was away.
	"wal_retrieve_retry_interval=100ms",
}

// Start starts a server of its own for a test that has to stop or break it. The caller stops it.
func Start() (*Server, error) { return started(pgserver.Start(settings...)) }

// StartDurable starts a server with PostgreSQL's own defaults, and those that are given as "name=value": it waits for
// the disk, as benchmarks must. The caller stops it.
func StartDurable(settings ...string) (*Server, error) {
	return started(pgserver.StartDurable(settings...))
}

func started(s *pgserver.Server, err error) (*Server, error) {
	if err != nil {
		return nil, err
	}
	return &Server{Server: s}, nil
}

// Lose ends the server at once and for good. Its databases go with its data.
func (s *Server) Lose() {
	s.standby = true
	s.Kill()
}

// Demote makes the server a read-only standby when it runs again, after Kill. Its databases go with its data.
func (s *Server) Demote() error {
	s.standby = true
	return os.WriteFile(filepath.Join(s.Data(), "standby.signal"), nil, 0o644)
}
