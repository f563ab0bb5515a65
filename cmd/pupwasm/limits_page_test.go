package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

const limitsPage = `# Limits

The limits of modules, their SQL, events and workers, their defaults, and how to change them. Flags are those of
'pupwasm run' and of other commands that run modules. Fields are those of packages host (Limits), segments and the
stores (Options). A limit without a setting is fixed. What exceeds a limit is refused, or its batch ends, with one line
that names the limit and its setting.
'pupwasm inspect --limits' prints this page.

This page is generated: 'go test ./cmd/pupwasm -run TestLimits -update'.
`

// TestLimits_thePageIsWhatTheCodeHas compares docs/limits.md with the table.
func TestLimits_thePageIsWhatTheCodeHas(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(limitsPage)
	for _, group := range allLimits(host.DefaultLimits()) {
		fmt.Fprintf(&page, "\n## %s\n\n| | default | setting |\n|---|---|---|\n", strings.ToUpper(group.Of[:1])+group.Of[1:])
		for _, limit := range group.Limits {
			setting := limit.Setting
			if setting != "" {
				setting = "`" + strings.ReplaceAll(setting, ", ", "`, `") + "`"
			}
			fmt.Fprintf(&page, "| %s | %s | %s |\n", limit.What, limit.Value, setting)
		}
	}
	file := filepath.Join(guestbuild.Root(t), "docs", "limits.md")
	if updating := flag.Lookup("update"); updating.Value.String() == "true" { // it is defined in script_test.go
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != page.String() {
		t.Errorf("docs/limits.md is not what the code has (%v): run the test with -update", err)
	}
}

// TestLimits_everySettingThatIsAFlagIsOne looks for the flags that the table names.
func TestLimits_everySettingThatIsAFlagIsOne(t *testing.T) {
	t.Parallel()
	flags := newRunCommand(&globalOptions{}).Flags()
	appending := newAppendCommand(&globalOptions{}).Flags()
	for _, group := range allLimits(host.DefaultLimits()) {
		for _, limit := range group.Limits {
			setting, _, _ := strings.Cut(strings.ReplaceAll(limit.Setting, ",", " "), " ")
			name, isFlag := strings.CutPrefix(setting, "--")
			if isFlag && flags.Lookup(name) == nil && appending.Lookup(name) == nil {
				t.Errorf("%s: there is no flag --%s", limit.What, name)
			}
		}
	}
}
