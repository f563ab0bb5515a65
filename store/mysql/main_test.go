package mysql_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(promoterVariable); url != "" {
		if err := promoter(url); err != nil {
			fmt.Fprintln(os.Stderr, "promoter:", err)
			os.Exit(1)
		}
	}
	os.Exit(mariadbtest.Main(m))
}
