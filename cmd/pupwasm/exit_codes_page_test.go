package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

const exitCodesPage = `# Exit codes

Every command ends with one of these codes. What went wrong is one line on stderr that begins with 'pupwasm:', also
with '--json'. The numbers never change.

| code | meaning | what to do |
|---|---|---|
`

const exitCodesEnd = `
This page is generated: 'go test ./cmd/pupwasm -run TestExitCodes -update'.
`

// TestExitCodes_thePageIsWhatTheCodeHas compares docs/exit-codes.md with the table.
func TestExitCodes_thePageIsWhatTheCodeHas(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(asCode(exitCodesPage))
	for _, row := range exitCodes {
		fmt.Fprintf(&page, "| %d | %s | %s |\n", row.code, asCode(row.means), row.remedy)
	}
	page.WriteString(asCode(exitCodesEnd))
	file := filepath.Join(guestbuild.Root(t), "docs", "exit-codes.md")
	if updating := flag.Lookup("update"); updating.Value.String() == "true" { // it is defined in script_test.go
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != page.String() {
		t.Errorf("docs/exit-codes.md is not what the code has (%v): run the test with -update", err)
	}
}

// asCode puts commands into the quotes of Markdown.
func asCode(text string) string {
	return regexp.MustCompile(`'([^']*)'`).ReplaceAllString(text, "`$1`")
}

// TestExitCodes_aScriptProvokesEach looks into exit_codes.txtar. TestInterrupt_exitsWith130 has the signal.
func TestExitCodes_aScriptProvokesEach(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join("testdata", "script", "exit_codes.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range exitCodes {
		if row.code < exitSignal && !strings.Contains("\n"+string(script), "\nexits "+strconv.Itoa(row.code)+" ") {
			t.Errorf("exit_codes.txtar has no command that exits with %d", row.code)
		}
	}
}
