package main_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptHooks is where a script keeps its webhook.
const scriptHooks = "hooks"

// hook is a webhook that answers what a script says.
type hook struct{ code atomic.Int64 }

// scriptHook has the webhook of the script, whose URL is $HOOK, answer with a status. It appends the bodies that it gets
// to a file, one a line, behind the status.
func scriptHook(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	hooks := ts.Value(scriptHooks).(map[string]*hook)
	if there := hooks[""]; there != nil {
		there.code.Store(code)
		return
	}
	h := &hook{}
	h.code.Store(code)
	file, err := os.OpenFile(ts.MkAbs(args[1]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		code := int(h.code.Load())
		line := append([]byte(strconv.Itoa(code)+" "+r.Header.Get("Idempotency-Key")+" "+r.Header.Get("Authorization")+" "),
			bytes.TrimSpace(body)...)
		_, _ = file.Write(append(line, '\n'))
		if code != http.StatusOK {
			http.Error(w, "no \x1b[31mway\nhere", code)
		}
	}))
	ts.Defer(func() {
		server.Close()
		file.Close()
	})
	hooks[""] = h
	ts.Setenv("HOOK", server.URL)
}
