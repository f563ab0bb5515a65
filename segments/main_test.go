package segments_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain has processors enough for several guests to work for a segment, whatever the machine has.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	os.Exit(pgtest.MainWithoutLeaks(m))
}
