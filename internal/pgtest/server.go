// Package pgtest gives tests a private PostgreSQL server and a fresh schema each.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		db := pgtest.New(t) // db.DSN, db.Schema
//	}
//
// The server is started by the first test that asks, has its own data folder and free port, and ends with the test
// process, also when that is killed. It is found in PUPWASM_TEST_PG_BIN, in the folders of Debian's packages, or on
// PATH.
package pgtest

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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// Server is one running PostgreSQL server.
type Server struct {
	DSN string // of the database "postgres" as superuser, over TCP

	folder   string
	port     int
	standby  bool // or lost, or retired: its databases are not dropped
	bin      string
	owner    *syscall.Credential
	settings []string
	migrated sync.Once // makes the database that others are copies of
	copying  string    // how a database is copied fastest, as an option of CREATE DATABASE
	life     io.Closer // the guard stops the server when this closes
	guard    *exec.Cmd
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

// placement is what every server needs to stay private.
var placement = []string{"listen_addresses=127.0.0.1", "max_connections=200", "log_min_messages=warning"}

// settings make the server fast to start and its faults visible. Nothing here changes what a transaction promises short
// of a crash of the machine.
var settings = []string{
	"fsync=off", "full_page_writes=off", "shared_buffers=256MB", "max_wal_size=1GB", "autovacuum_naptime=10s",
	"max_prepared_transactions=10",
	// Prepared transactions are tested, and so are notifications, which they exclude.
	"pupwasm.notify=on",
	// A standby does not wait for five seconds after its primary was away.
	"wal_retrieve_retry_interval=100ms",
}

// Start starts a server of its own for a test that has to stop or break it. The caller stops it.
func Start() (*Server, error) { return start(false, settings) }

// StartDurable starts a server with PostgreSQL's own defaults, and those that are given as "name=value": it waits for
// the disk, as benchmarks must. The caller stops it.
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
		place = inMemory()
	}
	folder, err := os.MkdirTemp(place, folderPattern())
	if err != nil {
		return nil, fmt.Errorf("creating a data folder: %w", err)
	}
	s := &Server{folder: folder, bin: bin, owner: owner, settings: settings}
	if owner != nil {
		if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, fmt.Errorf("handing the data folder over: %w", err)
		}
	}
	initdb := s.command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-N",
		"-E", "UTF8", "--locale=C.UTF-8")
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	s.DSN = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	if err := s.Run(); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return s, nil
}

// inMemory is a folder in memory with room for the data of a few servers, or "" for one on the disk: tests make files
// and delete them all the time.
func inMemory() string {
	const folder, bytesMin = "/dev/shm", 8 << 30
	var free syscall.Statfs_t
	if syscall.Statfs(folder, &free) != nil || free.Bavail*uint64(free.Bsize) < bytesMin {
		return ""
	}
	sweep(folder)
	return folder
}

// folderPattern has the number of this process in it, so that folders of processes that were killed are found.
func folderPattern() string { return fmt.Sprintf("pupwasm-pg-%d-*", os.Getpid()) }

// sweep removes what killed processes have left in memory.
func sweep(folder string) {
	left, _ := filepath.Glob(filepath.Join(folder, "pupwasm-pg-*-*"))
	for _, path := range left {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(path), "pupwasm-pg-%d-", &pid)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(path)
		}
	}
}

// guardScript runs the server as a child and ends it when standard input closes, which the kernel does when the test
// process is gone for whatever reason.
const guardScript = `
"$@" >>"$LOG" 2>&1 &
server=$!
(cat >/dev/null; kill -"$SIGNAL" $server 2>/dev/null) <&3 &
wait $server
`

// Run starts the server on its data folder and port, after Start or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{
		"-c", guardScript, "guard", filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port),
	}
	for _, setting := range slices.Concat(placement, []string{"unix_socket_directories=" + s.folder}, s.settings) {
		args = append(args, "-c", setting)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	defer read.Close()
	s.guard = s.command("/bin/sh", args...)
	s.guard.Env = append(os.Environ(), "SIGNAL=QUIT", "LOG="+filepath.Join(s.folder, "log"))
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
				s.copying = " STRATEGY file_copy"
			}
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			return fmt.Errorf("postgres does not answer: %w: %s", err, log)
		}
	}
}

// Kill ends the server at once, as a crash would. Run starts it again.
func (s *Server) Kill() {
	s.life.Close()
	_ = s.guard.Wait()
}

// Lose ends the server at once and for good. Its databases go with its data.
func (s *Server) Lose() {
	s.standby = true
	s.Kill()
}

// Demote makes the server a read-only standby when it runs again, after Kill. Its databases go with its data.
func (s *Server) Demote() error {
	s.standby = true
	return os.WriteFile(filepath.Join(s.data(), "standby.signal"), nil, 0o644)
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	s.Kill()
	os.RemoveAll(s.folder)
}

// Port is the TCP port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Tool returns the path of a program that came with the server, such as psql, or "" when it is not installed.
func (s *Server) Tool(name string) string {
	path := filepath.Join(s.bin, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.folder
	// A group of its own, so that an interrupt on the terminal reaches the tests and not the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true}
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
	return "", errors.New("these tests need PostgreSQL: run 'make postgres', " +
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

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return strconv.Atoi(port)
}
