//go:build unix

// Package pgserver starts private PostgreSQL servers. Each has its own data folder and free port, and ends with the
// process that started it, also when that is killed. The programs are found in PUPWASM_TEST_PG_BIN, in the folders of
// Debian's packages, or on PATH.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/internal/guarded"
)

// Server is one PostgreSQL server.
type Server struct {
	*guarded.Process

	DSN      string   // of the database "postgres" as superuser, over TCP
	Port     int      // TCP, on 127.0.0.1
	Bin      string   // folder of the programs
	Settings []string // "name=value"
	Copying  string   // how a database is copied fastest, as an option of CREATE DATABASE
}

// placement is what every server needs to stay private.
var placement = []string{"listen_addresses=127.0.0.1", "max_connections=200", "log_min_messages=warning"}

// fast are settings with which a server starts and commits fast. Nothing here changes what a transaction promises short
// of a crash of the machine.
var fast = []string{"fsync=off", "full_page_writes=off", "shared_buffers=256MB", "max_wal_size=1GB"}

// Start starts a server that does not wait for the disk, with settings as "name=value". The caller stops it.
func Start(settings ...string) (*Server, error) { return start(false, slices.Concat(fast, settings)) }

// StartDurable starts a server with PostgreSQL's own defaults, and those that are given as "name=value". The caller stops
// it.
func StartDurable(settings ...string) (*Server, error) { return start(true, settings) }

func start(durable bool, settings []string) (*Server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	process, err := guarded.New(FolderPrefix, !durable, "postgres", "nobody")
	if err != nil {
		return nil, err
	}
	s := &Server{Process: process, Bin: bin, Settings: settings}
	initdb := s.Command(filepath.Join(bin, "initdb"), "-D", s.Data(), "-U", "postgres", "-A", "trust", "-N",
		"-E", "UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(s.Folder)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.Port, err = guarded.FreePort(); err != nil {
		return nil, err
	}
	s.DSN = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
	if err := s.Run(); err != nil {
		os.RemoveAll(s.Folder)
		return nil, err
	}
	return s, nil
}

// FolderPrefix begins the names of data folders.
const FolderPrefix = "pupwasm-pg"

// Run starts the server on its data folder and port, after Start or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{"-D", s.Data(), "-p", strconv.Itoa(s.Port)}
	for _, setting := range slices.Concat(placement, []string{"unix_socket_directories=" + s.Folder}, s.Settings) {
		args = append(args, "-c", setting)
	}
	if err := s.Process.Start("QUIT", filepath.Join(s.Bin, "postgres"), args...); err != nil {
		return err
	}
	return s.Await(func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.DSN)
		if err != nil {
			return err
		}
		if conn.PgConn().ParameterStatus("server_version") >= "15" { // 9 is long gone
			s.Copying = " STRATEGY file_copy"
		}
		return conn.Close(ctx)
	})
}

// Tool returns the path of a program that came with the server, such as psql, or "" when it is not installed.
func (s *Server) Tool(name string) string {
	path := filepath.Join(s.Bin, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func findBin() (string, error) {
	candidates := []string{os.Getenv("PUPWASM_TEST_PG_BIN")}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(debian)
	slices.Reverse(debian)
	candidates = append(candidates, debian...)
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, bin := range candidates {
		if bin == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(bin, "initdb")); err == nil {
			return bin, nil
		}
	}
	return "", errors.New("PostgreSQL's server is not installed: on Debian install the package postgresql, " +
		"or set PUPWASM_TEST_PG_BIN to the folder with initdb")
}
