package segments_test

import (
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.MainWithoutLeaks(m)) }
