package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver of migrations and handlers

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/migrations"
)

// environment is what all runs share: the server, and the modules.
type environment struct {
	config
	server   *pgtest.Server
	runtime  *host.Runtime // that goes by the defaults
	runtimes map[host.Instances]*host.Runtime
	folder   string            // of compiled modules
	modules  map[string][]byte // by compiler and source folder

	accounts *eventLog // of W1 and W2, once somebody asked for it
	bookings []booking // its events

	databases int // made so far under numbers
}

// nextDatabase is a number for the name of a database.
func (e *environment) nextDatabase() int {
	e.databases++
	return e.databases
}

func newEnvironment(ctx context.Context, c config) (*environment, error) {
	if _, err := os.Stat("internal/build"); err != nil {
		return nil, errors.New("must be started in the root of the project, as 'make bench' does")
	}
	e := &environment{config: c, modules: map[string][]byte{}, runtimes: map[host.Instances]*host.Runtime{}}
	var err error
	if e.folder, err = os.MkdirTemp("", "pupwasm-bench-"); err != nil {
		return nil, err
	}
	for _, policy := range []host.Instances{host.InstancesAuto, host.InstancesFresh, host.InstancesReuse} {
		if e.runtimes[policy], err = host.NewRuntime(ctx, host.Options{Instances: policy}); err != nil {
			return nil, err
		}
	}
	e.runtime = e.runtimes[host.InstancesAuto]
	if e.server, err = pgtest.StartDurable(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *environment) close() {
	e.server.Stop()
	for _, runtime := range e.runtimes {
		runtime.Close(context.Background())
	}
	os.RemoveAll(e.folder)
}

// wants reports whether a part of the suite is asked for.
func (e *environment) wants(name string) bool { return e.run.MatchString(name) }

// guestKind is how a module is built and run.
type guestKind struct {
	compiler  string // "tinygo" or "go"
	instances host.Instances
}

var (
	tinygoGuest = guestKind{"tinygo", host.InstancesAuto}
	goGuest     = guestKind{"go", host.InstancesAuto}
)

// String names the kind.
func (k guestKind) String() string {
	name := map[string]string{"tinygo": "TinyGo", "go": "Go"}[k.compiler]
	if k.instances == host.InstancesAuto {
		return name
	}
	return name + ", " + string(k.instances)
}

// load makes a workload's module ready. Who gets it closes it.
func (e *environment) load(ctx context.Context, k guestKind, w *workload) (*host.Module, error) {
	wasm, err := e.module(k.compiler, w.module)
	if err != nil {
		return nil, err
	}
	return e.runtimes[k.instances].Load(ctx, w.projection+".wasm", wasm)
}

// module compiles a module once. compiler is "tinygo" or "go".
func (e *environment) module(compiler, source string) ([]byte, error) {
	key := compiler + " " + source
	if wasm, built := e.modules[key]; built {
		return wasm, nil
	}
	out := filepath.Join(e.folder, compiler+"-"+filepath.Base(source)+".wasm")
	if _, err := build.Module(context.Background(), build.Compiler(compiler), source, out); err != nil {
		return nil, err
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
