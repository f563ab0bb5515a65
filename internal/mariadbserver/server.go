//go:build unix

// Package mariadbserver starts private MariaDB servers. Each has its own data folder and free port, and ends with the
// process that started it, also when that is killed. The programs are found in PUPWASM_TEST_MARIADB_BIN, in the folders
// of Debian's packages, or on PATH.
package mariadbserver

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the driver of database/sql

	"github.com/pupwasm/pupwasm/internal/guarded"
)

// Server is one MariaDB server.
type Server struct {
	*guarded.Process

	Port     int      // TCP, on 127.0.0.1
	Program  string   // mariadbd
	Settings []string // "name=value"
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
	process, err := guarded.New("pupwasm-mariadb", !durable, "mysql", "nobody")
	if err != nil {
		return nil, err
	}
	s := &Server{Process: process, Program: program, Settings: settings}
	installation := s.Command(install, "--no-defaults", "--datadir="+s.Data(), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve")
	for _, setting := range settings {
		if strings.HasPrefix(setting, "innodb-page-size=") { // which the data folder has for ever
			installation.Args = append(installation.Args, "--"+setting)
		}
	}
	installation.Env = append(os.Environ(), "TMPDIR="+s.Folder) // where the server's user may write
	if out, err := installation.CombinedOutput(); err != nil {
		os.RemoveAll(s.Folder)
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if s.Port, err = guarded.FreePort(); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		os.RemoveAll(s.Folder)
		return nil, err
	}
	return s, nil
}

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
		"--no-defaults", "--datadir=" + s.Data(), "--port=" + strconv.Itoa(s.Port),
		"--socket=" + filepath.Join(s.Folder, "socket"), "--pid-file=" + filepath.Join(s.Folder, "pid"), "--tmpdir=" + s.Folder,
	}
	for _, setting := range slices.Concat(placement, s.Settings) {
		args = append(args, "--"+setting)
	}
	if err := s.Process.Start("KILL", s.Program, args...); err != nil {
		return err
	}
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		return err
	}
	defer db.Close()
	return s.Await(db.PingContext)
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
