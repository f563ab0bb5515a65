package segments_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain has processors enough for several guests to work for a segment, whatever the machine has. Logs on PostgreSQL begin below
// 2^31, and come beyond it in every test.
func TestMain(m *testing.M) {
	host.CompilerMain()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	pgtest.LogsBeginAfter(1<<31 - 2)
	os.Exit(pgtest.MainWithoutLeaks(m))
}
