package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// scriptGuest makes a module of a description. It answers every batch by its first write, with the values "x" and a
// number; by an error for "fail"; and by nothing without either.
func scriptGuest(ts *testscript.TestScript, _ bool, args []string) {
	guest := hosttest.Guest{Describe: ts.ReadFile(args[0])}
	if len(args) > 2 && args[2] == "fail" {
		guest.Reply = abi.AppendErrorReply(nil, 0, 1, "as it was made to")
	} else if len(args) > 2 {
		number, err := strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		row := abi.AppendBytes(abi.AppendMutation(nil, 0, 2, 0), abi.KindText, "x")
		row = abi.AppendI64(row, number)
		guest.Reply = append(abi.AppendReply(nil, 1, len(row)), row...)
	}
	target := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(target), 0o755))
	ts.Check(os.WriteFile(target, guest.Wasm(), 0o644))
}

// scriptRan notes that a file ran a version of a projection, or that nothing is known.
func scriptRan(ts *testscript.TestScript, _ bool, args []string) {
	version, err := strconv.Atoi(args[1])
	ts.Check(err)
	var code store.Code
	if len(args) > 2 {
		code.Module = []byte(ts.ReadFile(args[2]))
		sum := sha256.Sum256(code.Module)
		code.Digest = hex.EncodeToString(sum[:])
	}
	tables := scriptStore(ts)
	defer tables.Close()
	_, err = tables.SetCode(context.Background(), store.ProjectionID{Name: args[0], Version: version}, code)
	ts.Check(err)
}

// scriptStore opens the database of a script. The caller closes it.
func scriptStore(ts *testscript.TestScript) store.Store {
	database := ts.Getenv("PUPWASM_DATABASE_URL")
	if path, is := strings.CutPrefix(database, "sqlite:"); is {
		opened, err := sqlite.Open(ts.MkAbs(path), sqlite.Options{})
		ts.Check(err)
		return opened.Backend()
	}
	opened, err := postgres.Open(database, postgres.Options{Lazy: true})
	ts.Check(err)
	return opened.Backend()
}
