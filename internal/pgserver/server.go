//go:build unix

// Package pgserver starts private PostgreSQL servers. Each has its own data folder and free port, and ends with the
// process that started it, also when that is killed. The programs are found in PUPWASM_TEST_PG_BIN, in the folders of
// Debian's packages, or on PATH.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is one PostgreSQL server.
type Server struct {
	DSN      string              // of the database "postgres" as superuser, over TCP
	Folder   string              // of its data, its log and its socket
	Port     int                 // TCP, on 127.0.0.1
	Bin      string              // folder of the programs
	Owner    *syscall.Credential // whom it runs as; nil for the user of this process
	Settings []string            // "name=value"
	Copying  string              // how a database is copied fastest, as an option of CREATE DATABASE

	life  io.Closer // the guard stops the server when this closes
	guard *exec.Cmd
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
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	place := ""
	if !durable {
		place = InMemory("pupwasm-pg")
	}
	folder, err := os.MkdirTemp(place, FolderPattern())
	if err != nil {
		return nil, fmt.Errorf("creating a data folder: %w", err)
	}
	s := &Server{Folder: folder, Bin: bin, Owner: owner, Settings: settings}
	if owner != nil {
		if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, fmt.Errorf("handing the data folder over: %w", err)
		}
	}
	initdb := s.Command(filepath.Join(bin, "initdb"), "-D", s.Data(), "-U", "postgres", "-A", "trust", "-N",
		"-E", "UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.Port, err = FreePort(); err != nil {
		return nil, err
	}
	s.DSN = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
	if err := s.Run(); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return s, nil
}

// InMemory is a folder in memory with room for the data of a few servers, or "" for one on the disk: tests make files
// and delete them all the time. It removes folders there, named by the prefix and the number of a process, whose process
// was killed.
func InMemory(prefix string) string {
	const folder, bytesMin = "/dev/shm", 8 << 30
	var free syscall.Statfs_t
	if syscall.Statfs(folder, &free) != nil || free.Bavail*uint64(free.Bsize) < bytesMin {
		return ""
	}
	sweep(folder, prefix)
	return folder
}

// FolderPattern has the number of this process in it, so that folders of processes that were killed are found.
func FolderPattern() string { return fmt.Sprintf("pupwasm-pg-%d-*", os.Getpid()) }

// sweep removes what killed processes have left in memory.
func sweep(folder, prefix string) {
	left, _ := filepath.Glob(filepath.Join(folder, prefix+"-*-*"))
	for _, path := range left {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(path), prefix+"-%d-", &pid)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(path)
		}
	}
}

// GuardScript runs the server as a child and ends it when standard input closes, which the kernel does when the test
// process is gone for whatever reason.
const GuardScript = `
"$@" >>"$LOG" 2>&1 &
server=$!
(cat >/dev/null; kill -"$SIGNAL" $server 2>/dev/null) <&3 &
wait $server
`

// Run starts the server on its data folder and port, after Start or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{
		"-c", GuardScript, "guard", filepath.Join(s.Bin, "postgres"), "-D", s.Data(), "-p", strconv.Itoa(s.Port),
	}
	for _, setting := range slices.Concat(placement, []string{"unix_socket_directories=" + s.Folder}, s.Settings) {
		args = append(args, "-c", setting)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	defer read.Close()
	s.guard = s.Command("/bin/sh", args...)
	s.guard.Env = append(os.Environ(), "SIGNAL=QUIT", "LOG="+filepath.Join(s.Folder, "log"))
	s.guard.ExtraFiles = []*os.File{read}
	s.life = write
	if err := s.guard.Start(); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	return s.awaitReady()
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN)
		if err == nil {
			if conn.PgConn().ParameterStatus("server_version") >= "15" { // 9 is long gone
				s.Copying = " STRATEGY file_copy"
			}
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.Folder, "log"))
			return fmt.Errorf("postgres does not answer: %w: %s", err, log)
		}
	}
}

// Kill ends the server at once, as a crash would. Run starts it again.
func (s *Server) Kill() {
	s.life.Close()
	_ = s.guard.Wait()
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	s.Kill()
	os.RemoveAll(s.Folder)
}

// Tool returns the path of a program that came with the server, such as psql, or "" when it is not installed.
func (s *Server) Tool(name string) string {
	path := filepath.Join(s.Bin, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// Data is the data folder.
func (s *Server) Data() string { return filepath.Join(s.Folder, "data") }

// Command is a program that runs as the server does, in its folder.
func (s *Server) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.Folder
	// A group of its own, so that an interrupt on the terminal reaches the tests and not the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.Owner, Setpgid: true}
	return cmd
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

// unprivileged returns whom to run the server as: PostgreSQL refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no credential means: as we are
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root and there is neither a user postgres nor nobody")
}

// FreePort returns a TCP port on 127.0.0.1 that nobody has now.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return strconv.Atoi(port)
}
