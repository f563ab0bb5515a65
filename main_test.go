package pupwasm_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestMain does what an application does first, and has a PostgreSQL for the examples.
func TestMain(m *testing.M) {
	pupwasm.CompilerMain()
	server, err := pgtest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("DATABASE_URL", server.DSN)
	code := pgtest.MainWithoutLeaks(m)
	mariadbtest.Stop()
	server.Stop()
	os.Exit(code)
}
