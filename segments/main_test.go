package segments_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
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

func run(m *testing.M) int {
	var err error
	if compiled, err = os.MkdirTemp("", "pupwasm-compiled-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(compiled)
	return pgtest.MainWithoutLeaks(m)
}
