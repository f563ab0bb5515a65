package segments_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain has logs on PostgreSQL begin below 2^31, and come beyond it in every test.
func TestMain(m *testing.M) {
	host.CompilerMain()
	pgtest.LogsBeginAfter(1<<31 - 2)
	os.Exit(run(m))
}

// compiled is a folder where runtimes of these tests share what they have compiled.
var compiled string

// compiler compiles for these runtimes under the race detector. Otherwise the test binary does.
var compiler string

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
	return pgtest.MainWithoutLeaks(m)
}
