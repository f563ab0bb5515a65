package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain makes this test binary the program itself where it is called by the name pupwasm, which scripts and
// tests find on PATH: so the race detector sees the program at work.
func TestMain(m *testing.M) {
	host.CompilerMain()
	testscript.Main(withServer{m}, map[string]func(){"pupwasm": main})
}

// withServer stops the PostgreSQL server of the tests after them.
type withServer struct{ m *testing.M }

// Run lets logs on PostgreSQL begin below 2^53, and come beyond it in every test.
func (w withServer) Run() int {
	pgtest.LogsBeginAfter(1<<53 - 3)
	return pgtest.Main(w.m)
}
