package segments_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain has logs on PostgreSQL begin below 2^31, and come beyond it in every test.
func TestMain(m *testing.M) {
	host.CompilerMain()
	pgtest.LogsBeginAfter(1<<31 - 2)
	os.Exit(pgtest.MainWithoutLeaks(m))
}
