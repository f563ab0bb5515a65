package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/guarded"
	"github.com/pupwasm/pupwasm/internal/pgserver"
)

// Standby starts a second server that follows this one, asynchronously. The caller stops it.
func (s *Server) Standby() (*Server, error) {
	port, err := guarded.FreePort()
	if err != nil {
		return nil, err
	}
	return s.standbyOn(port)
}

// StandbyInPlaceOf is Standby on the port of a server that is lost or retired.
func (s *Server) StandbyInPlaceOf(gone *Server) (*Server, error) { return s.standbyOn(gone.Port) }

func (s *Server) standbyOn(port int) (*Server, error) {
	process, err := s.Beside(pgserver.FolderPrefix)
	if err != nil {
		return nil, err
	}
	b := &Server{Server: &pgserver.Server{Process: process, Port: port, Bin: s.Bin, Settings: s.Settings}}
	if err := b.follow(s); err != nil {
		os.RemoveAll(process.Folder)
		return nil, err
	}
	return b, nil
}

func (s *Server) follow(primary *Server) error {
	s.DSN = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
	backup := s.Command(filepath.Join(s.Bin, "pg_basebackup"), "-D", s.Data(), "-d", primary.DSN, "-R",
		"-X", "stream", "-c", "fast")
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return s.Run()
}

// CaughtUp waits until the standby has all that the primary has written.
func (s *Server) CaughtUp(t testing.TB, primary *Server) {
	t.Helper()
	var end string
	primary.row(t, "SELECT pg_current_wal_flush_lsn()::text", &end)
	for there := false; !there; {
		s.row(t, "SELECT coalesce(pg_last_wal_replay_lsn() >= '"+end+"', false)", &there)
	}
}

// CutOff ends replication to the standby: what the primary writes from now on is not on it.
func (s *Server) CutOff(t testing.TB) {
	t.Helper()
	s.exec(t, "ALTER SYSTEM SET primary_conninfo = ''")
	s.exec(t, "SELECT pg_reload_conf()")
	for receiving := true; receiving; {
		s.row(t, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)", &receiving)
	}
}

// Retire ends the server in good order and for good, once the standby follows it: the standby has all that was written
// then. The databases of the server go with its data.
func (s *Server) Retire(t testing.TB) {
	t.Helper()
	for following := false; !following; {
		s.row(t, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')", &following)
	}
	s.standby = true
	stop := s.Command(filepath.Join(s.Bin, "pg_ctl"), "stop", "-D", s.Data(), "-m", "fast")
	if out, err := stop.CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl stop: %v: %s", err, out)
	}
	s.Kill() // the guard of a process that has ended
}

// Promote makes the standby a primary, on a timeline of its own, and returns when it is one.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.exec(t, "SELECT pg_promote()")
}

// Either returns the database's DSN with a second server that takes the place of the first when that is gone or only
// reads.
func (d Database) Either(second *Server) string {
	host := fmt.Sprintf("@127.0.0.1:%d/", d.Server.Port)
	either := fmt.Sprintf("@127.0.0.1:%d,127.0.0.1:%d/", d.Server.Port, second.Port)
	return strings.Replace(d.DSN, host, either, 1) + "&target_session_attrs=read-write"
}

// On returns the same database on another server.
func (d Database) On(second *Server) Database {
	host := fmt.Sprintf("@127.0.0.1:%d/", d.Server.Port)
	return Database{
		DSN:    strings.Replace(d.DSN, host, fmt.Sprintf("@127.0.0.1:%d/", second.Port), 1),
		Schema: d.Schema, Server: second,
	}
}

// row reads one row.
func (s *Server) row(t testing.TB, sql string, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.DSN)
	if err != nil {
		t.Fatalf("connecting for %q: %v", sql, err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql).Scan(into...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
