//go:build unix

// Package mariadbserver starts private MariaDB servers. Each has its own data folder and free port, and ends with the
// process that started it, also when that is killed. The programs are found in PUPWASM_TEST_MARIADB_BIN, in the folders
// of Debian's packages, or on PATH.
package mariadbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver of database/sql

	"github.com/pupwasm/pupwasm/internal/pgserver"
)

// Server is one MariaDB server.
type Server struct {
	Folder   string              // of its data, its log and its socket
	Port     int                 // TCP, on 127.0.0.1
	Program  string              // mariadbd
	Owner    *syscall.Credential // whom it runs as; nil for the user of this process
	Settings []string            // "name=value"

	life  io.Closer // the guard stops the server when this closes
	guard *exec.Cmd
}

// placement is what every server needs to stay private.
var placement = []string{
	"bind-address=127.0.0.1", "max-connections=500", "skip-name-resolve", "innodb-autoinc-lock-mode=2",
	"performance-schema=OFF", "log-warnings=1",
}

// fast are settings with which a server starts and commits fast. Nothing here changes what a transaction promises short
// of a crash of the machine.
var fast = []string{
	"innodb-flush-log-at-trx-commit=0", "innodb-buffer-pool-size=256M", "innodb-log-file-size=64M",
	"innodb-doublewrite=0", "max-allowed-packet=64M",
}

// Start starts a server that does not wait for the disk, with settings as "name=value". The caller stops it.
func Start(settings ...string) (*Server, error) { return start(false, slices.Concat(fast, settings)) }

// StartDurable starts a server with MariaDB's own defaults, and those that are given as "name=value". The caller stops
// it.
func StartDurable(settings ...string) (*Server, error) { return start(true, settings) }

func start(durable bool, settings []string) (*Server, error) {
	program, install, err := findPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	place := ""
	if !durable {
		place = pgserver.InMemory(folderPrefix)
	}
	folder, err := os.MkdirTemp(place, fmt.Sprintf("%s-%d-*", folderPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("creating a data folder: %w", err)
	}
	s := &Server{Folder: folder, Program: program, Owner: owner, Settings: settings}
	if owner != nil {
		if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, fmt.Errorf("handing the data folder over: %w", err)
		}
	}
	installation := s.Command(install, "--no-defaults", "--datadir="+s.Data(), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve")
	for _, setting := range settings {
		if strings.HasPrefix(setting, "innodb-page-size=") { // which the data folder has for ever
			installation.Args = append(installation.Args, "--"+setting)
		}
	}
	installation.Env = append(os.Environ(), "TMPDIR="+folder) // where the server's user may write
	if out, err := installation.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if s.Port, err = pgserver.FreePort(); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return s, nil
}

const folderPrefix = "pupwasm-mariadb"

// URL is that of a database, as the superuser.
func (s *Server) URL(database string) string { return s.URLAs("root", "", database) }

// URLAs is the URL of a database for a user.
func (s *Server) URLAs(user, password, database string) string {
	if password != "" {
		user += ":" + password
	}
	return fmt.Sprintf("mysql://%s@127.0.0.1:%d/%s", user, s.Port, database)
}

// DSN is the form of a URL that the driver of database/sql wants.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s?multiStatements=true", s.Port, database)
}

// Run starts the server on its data folder and port, after Start or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{
		"-c", pgserver.GuardScript, "guard", s.Program, "--no-defaults", "--datadir=" + s.Data(),
		"--port=" + strconv.Itoa(s.Port), "--socket=" + filepath.Join(s.Folder, "socket"),
		"--pid-file=" + filepath.Join(s.Folder, "pid"), "--tmpdir=" + s.Folder,
	}
	for _, setting := range slices.Concat(placement, s.Settings) {
		args = append(args, "--"+setting)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	defer read.Close()
	s.guard = s.Command("/bin/sh", args...)
	s.guard.Env = append(os.Environ(), "SIGNAL=KILL", "LOG="+filepath.Join(s.Folder, "log"))
	s.guard.ExtraFiles = []*os.File{read}
	s.life = write
	if err := s.guard.Start(); err != nil {
		return fmt.Errorf("starting mariadbd: %w", err)
	}
	return s.awaitReady()
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.Folder, "log"))
			return fmt.Errorf("mariadbd does not answer: %w: %s", err, log)
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

func findPrograms() (server, install string, err error) {
	look := func(names ...string) string {
		for _, folder := range []string{os.Getenv("PUPWASM_TEST_MARIADB_BIN"), "/usr/sbin", "/usr/bin"} {
			for _, name := range names {
				if _, err := os.Stat(filepath.Join(folder, name)); folder != "" && err == nil {
					return filepath.Join(folder, name)
				}
			}
		}
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}
	server, install = look("mariadbd"), look("mariadb-install-db")
	if server == "" || install == "" {
		return "", "", errors.New("MariaDB's server is not installed: on Debian install the package mariadb-server, " +
			"or set PUPWASM_TEST_MARIADB_BIN to the folder with mariadbd and mariadb-install-db")
	}
	return server, install, nil
}

// unprivileged returns whom to run the server as: MariaDB refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no credential means: as we are
	}
	for _, name := range []string{"mysql", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}, nil
	}
	return nil, errors.New("MariaDB does not run as root and there is neither a user mysql nor nobody")
}
