package replay_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// compiled and compiler are options of the hosts of these tests, see [guestbuild.SharedCache].
var compiled, compiler string

// TestMain compiles modules when it is the process for that.
func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(guestbuild.SharedCache(func(cache, program string) int {
		compiled, compiler = cache, program
		return m.Run()
	}))
}
