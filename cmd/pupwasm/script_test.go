package main_test

import (
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

var update = flag.Bool("update", false, "write the golden output into the scripts, and docs/limits.md")

// TestScripts runs testdata/script. A script whose name begins with postgres_ or mariadb_ gets an empty database on
// a server, the others a SQLite file in their folder. Besides the usual commands there are
//
//	exits CODE pupwasm ARG…     the program ends with this exit code
//	write FILE TEXT…            appends a Go string literal to the file, for bytes that a script cannot hold
//	pack FILE PACKED            gzip
//	cut FILE BYTES              keeps the first bytes of the file
//	module EXAMPLE FILE         the compiled example module
//	keys PRIVATE PUBLIC         a new pair of Ed25519 keys in PEM
//	guest JSON FILE [N|fail]    a module with this description, which writes N, or fails
//	ran NAME VERSION [FILE]     notes that the file ran this version of a projection, or that nobody knows what did
//	members FILE NAME…          the file is one JSON value with these members, or an array of such
//	section JSON FILE           appends a section with a description to a module
//	hook CODE FILE              the webhook at $HOOK answers so, and appends what it gets to the file
//	sql STATEMENT               runs a statement in the database, where {fines__v1.fines} is a table
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := "sqlite:events.db"
			switch kind, _, _ := strings.Cut(name, "_"); kind {
			case onPostgres, onMariaDB:
				database = newDatabase(t, kind).DSN
			}
			testscript.Run(t, testscript.Params{
				Files:         []string{script},
				Condition:     scriptCondition,
				UpdateScripts: *update,
				Setup: func(env *testscript.Env) error {
					env.Setenv("PUPWASM_DATABASE_URL", database)
					env.Setenv("PUPWASM_LOG_LEVEL", "warn")
					env.Setenv("XDG_CACHE_HOME", cacheDir(t))
					env.Setenv("GORACE", os.Getenv("GORACE"))
					env.Values[scriptHooks] = map[string]*hook{}
					if strings.HasPrefix(name, "build") || name == "cases" {
						// These compile modules for most of their time, which the race detector makes many times slower.
						env.Setenv("PATH", filepath.Dir(binary(t))+string(filepath.ListSeparator)+env.Getenv("PATH"))
					}
					return buildEnvironment(t, env)
				},
				Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
					"exits": scriptExits, "write": scriptWrite, "pack": scriptPack, "cut": scriptCut, "keys": scriptKeys,
					"guest": scriptGuest, "ran": scriptRan, "sql": scriptSQL, "section": scriptSection,
					"members": scriptMembers, "hook": scriptHook,
					"module": func(ts *testscript.TestScript, _ bool, args []string) {
						target := ts.MkAbs(args[1])
						ts.Check(os.MkdirAll(filepath.Dir(target), 0o755))
						ts.Check(os.WriteFile(target, guestbuild.Example(t, guestbuild.Auto, args[0]), 0o644))
					},
				},
			})
		})
	}
}

func scriptKeys(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	keep := func(path, kind string, der []byte, err error) {
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(path), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	keep(args[0], "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(public)
	keep(args[1], "PUBLIC KEY", der, err)
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code is %d, must be %d", code, want)
	}
}

func scriptWrite(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	for _, text := range args[1:] {
		unquoted, err := strconv.Unquote("`" + text + "`")
		if strings.Contains(text, `\`) {
			unquoted, err = strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
		}
		ts.Check(err)
		_, err = file.WriteString(unquoted)
		ts.Check(err)
	}
	ts.Check(file.Close())
}

func scriptPack(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	packed := gzip.NewWriter(file)
	_, err = packed.Write([]byte(text))
	ts.Check(err)
	ts.Check(packed.Close())
	ts.Check(file.Close())
}

func scriptCut(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}
