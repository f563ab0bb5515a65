package host_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
)

// compiled is a folder for compiled code that tests share: to compile a module of Go's takes longer than most of them.
var compiled string

func TestMain(m *testing.M) {
	host.CompilerMain()
	if cache := os.Getenv(compilingHost); cache != "" {
		beCompilingHost(cache)
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "pupwasm-compiled-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	compiled = folder
	return m.Run()
}
