package sqlite_test

import (
	"strconv"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store/internal/verdict/verdicttest"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestVerdicts_areThoseOfThePage(t *testing.T) {
	t.Parallel()
	verdicttest.Page(t, "sqlite", sqlite.ResultCodes.Markdown(func(code sqlite3.ExtendedErrorCode) string {
		if code == 0 {
			return ""
		}
		return strconv.Itoa(int(code))
	}))
}

// TestVerdicts_everyPrimaryCode goes through the codes that SQLite has for errors, which are numbered from 1.
func TestVerdicts_everyPrimaryCode(t *testing.T) {
	t.Parallel()
	decided := map[sqlite3.ExtendedErrorCode]bool{}
	for _, line := range sqlite.ResultCodes.Lines() {
		decided[line.Code] = true
		if line.Module.String() == "" || line.Own.String() == "" || line.Commit.String() == "" {
			t.Errorf("%s lacks a verdict", line.Name)
		}
	}
	for code := sqlite3.ExtendedErrorCode(sqlite3.ERROR); code <= sqlite3.ExtendedErrorCode(sqlite3.WARNING); code++ {
		if !decided[code] {
			t.Errorf("%d (%s) has no line", code, sqlite3.ErrorCode(code))
		}
	}
}
