package postgres_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/store/internal/verdict"
	"github.com/pupwasm/pupwasm/store/internal/verdict/verdicttest"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func TestVerdicts_areThoseOfThePage(t *testing.T) {
	t.Parallel()
	verdicttest.Page(t, "postgres", postgres.SQLStates.Markdown(func(code string) string {
		if code == "" {
			return ""
		}
		return "`" + code + "`"
	}))
}

// TestVerdicts_everyCodeOfTheServer reads the codes that the server has been built from.
func TestVerdicts_everyCodeOfTheServer(t *testing.T) {
	t.Parallel()
	decided := map[string]bool{}
	for _, line := range postgres.SQLStates.Lines() {
		decided[line.Code] = true
		for _, v := range []verdict.Verdict{line.Module, line.Own, line.Commit} {
			if v.String() == "" {
				t.Errorf("%s lacks a verdict", line.Code)
			}
		}
	}
	config := pgtest.Shared(t).Tool("pg_config")
	if config == "" {
		config = "pg_config"
	}
	share, err := exec.Command(config, "--sharedir").Output()
	must(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(share)), "errcodes.txt"))
	must(t, err)
	defer file.Close()
	codes := 0
	state := regexp.MustCompile(`^([0-9A-Z]{5}) +[ESW] `)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if found := state.FindStringSubmatch(lines.Text()); found != nil {
			codes++
			if !decided[found[1]] && !decided[found[1][:2]] {
				t.Errorf("%s has no line", found[1])
			}
		}
	}
	if codes < 200 {
		t.Errorf("the server has %d codes", codes)
	}
}
