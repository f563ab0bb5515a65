package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain makes this test binary the program itself where it is called by the name pupwasm, which scripts and
// tests find on PATH: so the race detector sees the program at work.
func TestMain(m *testing.M) {
	host.CompilerMain()
	testscript.Main(withServer{m}, map[string]func(){"pupwasm": main, "curl": curl})
}

// withServer stops the servers of the tests after them.
type withServer struct{ m *testing.M }

// Run lets logs on PostgreSQL begin below 2^53, and come beyond it in every test.
func (w withServer) Run() int {
	pgtest.LogsBeginAfter(1<<53 - 3)
	defer mariadbtest.Stop()
	return pgtest.Main(w.m)
}

// curl prints what is at its last argument, for pages that have curl do that: not every machine has one.
func curl() {
	response, err := http.Get("http://" + os.Args[len(os.Args)-1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer response.Body.Close()
	_, _ = io.Copy(os.Stdout, response.Body)
}
