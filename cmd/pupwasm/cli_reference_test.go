package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

const referencePage = `# Commands and flags

Every command, its flags, and the variables that set them. 'pupwasm COMMAND --help' prints the same.
[cli.md](cli.md) says what all commands have in common and what '--json' prints, [exit-codes.md](exit-codes.md) what
the codes mean, and [settings.md](settings.md) how to write flags into a file. This page is generated:
'go test ./cmd/pupwasm -run TestCLIReference -update'.
`

// TestCLIReference_thePageIsWhatTheCodeHas compares docs/cli-reference.md with the commands.
func TestCLIReference_thePageIsWhatTheCodeHas(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&globalOptions{})
	var page strings.Builder
	page.WriteString(asCode(referencePage))
	page.WriteString("\n| command | |\n|---|---|\n")
	eachVisible(root, func(cmd *cobra.Command) {
		if cmd != root {
			fmt.Fprintf(&page, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
		}
	})
	page.WriteString("\n## Flags of every command\n\n")
	writeFlags(&page, root.PersistentFlags())
	eachVisible(root, func(cmd *cobra.Command) {
		if cmd != root {
			writeCommand(&page, cmd)
		}
	})
	file := filepath.Join(guestbuild.Root(t), "docs", "cli-reference.md")
	if updating := flag.Lookup("update"); updating.Value.String() == "true" { // it is defined in script_test.go
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != page.String() {
		t.Errorf("docs/cli-reference.md is not what the code has (%v): run the test with -update", err)
	}
}

// writeCommand writes the section of a command.
func writeCommand(page *strings.Builder, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(page, "\n## %s\n\n", cmd.CommandPath())
	if !cmd.HasSubCommands() {
		fmt.Fprintf(page, "Usage: `%s`\n\n", cmd.UseLine())
	}
	var code strings.Builder // what is indented in a help: commands, files, lists
	end := func() {
		if code.Len() > 0 {
			fmt.Fprintf(page, "<!-- help -->\n```\n%s\n```\n\n", strings.TrimRight(code.String(), "\n"))
			code.Reset()
		}
	}
	for line := range strings.Lines(strings.TrimSpace(about) + "\n") {
		switch indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); {
		case indented, line == "\n" && code.Len() > 0:
			code.WriteString(line)
		default:
			end()
			page.WriteString(prose(line))
			continue
		}
	}
	end()
	if !strings.HasSuffix(page.String(), "\n\n") {
		page.WriteString("\n")
	}
	if cmd.HasSubCommands() {
		return
	}
	page.WriteString("<!-- help -->\n```\n" + strings.TrimRight(cmd.Example, "\n ") + "\n```\n")
	if cmd.LocalNonPersistentFlags().HasAvailableFlags() {
		page.WriteString("\n")
		writeFlags(page, cmd.LocalNonPersistentFlags())
	}
}

// prose is a line of a help as Markdown shows it as it is.
func prose(line string) string {
	return asCode(strings.NewReplacer("<", "\\<", "*", "\\*", "_", "\\_", "[", "\\[", "|", "\\|").Replace(line))
}

// writeFlags writes a table of flags.
func writeFlags(page *strings.Builder, flags *pflag.FlagSet) {
	page.WriteString("| flag | default | variable | |\n|---|---|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" || flag.Name == "version" {
			return
		}
		value, usage := pflag.UnquoteUsage(flag)
		name, variables := "--"+flag.Name, ""
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		for _, variable := range environmentNames(flag) {
			if !isWithoutVariable(flag) {
				variables += "`" + variable + "` "
			}
		}
		byDefault := ""
		if v := flag.DefValue; v != "" && v != "[]" && v != "false" {
			if cache, err := os.UserCacheDir(); err == nil {
				v = strings.Replace(v, cache, "~/.cache", 1)
			}
			byDefault = "`" + v + "`"
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", name, byDefault, strings.TrimSpace(variables), cell(usage))
	})
}

func isWithoutVariable(flag *pflag.Flag) bool {
	for _, name := range noEnvironment {
		if name == flag.Name {
			return true
		}
	}
	return false
}

// cell is a text as the cell of a table.
func cell(text string) string { return prose(strings.ReplaceAll(text, "\n", " ")) }
