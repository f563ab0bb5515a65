package replay_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
)

// TestMain compiles modules when it is the process for that.
func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(m.Run())
}
