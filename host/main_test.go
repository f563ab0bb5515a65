package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// compiled is a folder for compiled code that tests share: to compile a module of Go's takes longer than most of them.
var compiled string

// compiler compiles for the hosts of tests under the race detector. Otherwise the test binary does.
var compiler string

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
	compiled = filepath.Join(folder, "cache")
	if guestbuild.RaceDetector {
		if compiler, err = guestbuild.HostCompiler(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
