package segments_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain has logs on PostgreSQL begin below 2^31, and come beyond it in every test.
func TestMain(m *testing.M) {
	host.CompilerMain()
	pgtest.LogsBeginAfter(1<<31 - 2)
	os.Exit(guestbuild.SharedCache(func(cache, program string) int {
		compiled, compiler = cache, program
		return pgtest.MainWithoutLeaks(m)
	}))
}

// compiled and compiler are options of all runtimes of these tests, see [guestbuild.SharedCache].
var compiled, compiler string
