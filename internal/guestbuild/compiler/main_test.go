package compiler_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/host"
)

func TestMain(m *testing.M) {
	host.CompilerMain()
	os.Exit(m.Run())
}
