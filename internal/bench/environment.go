package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver of migrations and handlers

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
)

// environment is what all runs share: the server, and the modules.
type environment struct {
	config
	server  *pgtest.Server
	runtime *host.Runtime
	folder  string            // of compiled modules
	modules map[string][]byte // by compiler and source folder
}

func newEnvironment(ctx context.Context, c config) (*environment, error) {
	if _, err := os.Stat("scripts/build-module.sh"); err != nil {
		return nil, errors.New("must be started in the root of the project, as 'make bench' does")
	}
	e := &environment{config: c, modules: map[string][]byte{}}
	var err error
	if e.folder, err = os.MkdirTemp("", "pupwasm-bench-"); err != nil {
		return nil, err
	}
	if e.runtime, err = host.NewRuntime(ctx, host.Options{}); err != nil {
		return nil, err
	}
	if e.server, err = pgtest.StartDurable(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *environment) close() {
	e.server.Stop()
	e.runtime.Close(context.Background())
	os.RemoveAll(e.folder)
}

// module compiles a module once. compiler is "tinygo" or "go".
func (e *environment) module(compiler, source string) ([]byte, error) {
	key := compiler + " " + source
	if wasm, built := e.modules[key]; built {
		return wasm, nil
	}
	out := filepath.Join(e.folder, compiler+"-"+filepath.Base(source)+".wasm")
	if text, err := exec.Command("scripts/build-module.sh", compiler, source, out).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s with %s: %w: %s", source, compiler, err, text)
	}
	wasm, err := os.ReadFile(out)
	e.modules[key] = wasm
	return wasm, err
}

// database creates a migrated database and returns its DSN.
func (e *environment) database(ctx context.Context, name string) (string, error) {
	if err := execute(ctx, e.server.DSN, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	dsn := strings.Replace(e.server.DSN, "/postgres?", "/"+name+"?", 1)
	handle, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", err
	}
	defer handle.Close()
	migrator, err := migrations.New(handle, migrations.Postgres, "pupwasm")
	if err != nil {
		return "", err
	}
	_, err = migrator.Up(ctx)
	return dsn, err
}

// execute runs statements on a connection of their own.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
