package mysql_test

import (
	"strconv"
	"testing"

	"github.com/pupwasm/pupwasm/store/internal/verdict/verdicttest"
	"github.com/pupwasm/pupwasm/store/mysql"
)

func TestVerdicts_areThoseOfThePage(t *testing.T) {
	t.Parallel()
	verdicttest.Page(t, "mysql", mysql.ErrorNumbers.Markdown(func(number uint16) string {
		if number == 0 {
			return ""
		}
		return strconv.Itoa(int(number))
	}))
}

// TestVerdicts_inOrder keeps the lines, which an operator looks a number up in, in the order of numbers.
func TestVerdicts_inOrder(t *testing.T) {
	t.Parallel()
	last := -1
	for _, line := range mysql.ErrorNumbers.Lines() {
		if int(line.Code) <= last {
			t.Errorf("%d %s comes behind %d", line.Code, line.Name, last)
		}
		last = int(line.Code)
		if line.Module.String() == "" || line.Own.String() == "" || line.Commit.String() == "" {
			t.Errorf("%s lacks a verdict", line.Name)
		}
	}
}
