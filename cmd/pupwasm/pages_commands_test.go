package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pages"
	"github.com/pupwasm/pupwasm/internal/settings"
)

// pagesOf are the pages of the repository. CHANGELOG.md and RATIONALE.md tell of what was.
func pagesOf(t *testing.T) (now []*pages.Page) {
	t.Helper()
	all, err := pages.All(guestbuild.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		if page.Path != "CHANGELOG.md" && page.Path != "RATIONALE.md" {
			now = append(now, page)
		}
	}
	return now
}

// eachBlock calls fn for the blocks of a kind, each as a test of its own.
func eachBlock(t *testing.T, kind pages.Kind, fn func(t *testing.T, block pages.Block)) {
	t.Helper()
	for _, page := range pagesOf(t) {
		for _, block := range page.Blocks {
			if is, err := block.Kind(); err == nil && is == kind {
				t.Run(strings.ReplaceAll(block.Place(), "/", "_"), func(t *testing.T) { fn(t, block) })
			}
		}
	}
}

// TestPages_commandLinesParse resolves each command line of every block of commands, also of those that cannot run here.
func TestPages_commandLinesParse(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&globalOptions{})
	eachBlock(t, pages.Shell, func(t *testing.T, block pages.Block) {
		for _, line := range linesOfShell(block) {
			for _, words := range callsOf(line) {
				if !slices.Contains(mistakes, strings.Join(words, " ")) {
					tryLine(t, root, words)
				}
			}
		}
	})
}

// mistakes are the command lines that a page has for what the program says of them.
var mistakes = []string{"pupwasm status --databse sqlite:shop.db"}

// linesOfShell returns the lines of a block that a shell reads.
func linesOfShell(block pages.Block) (lines []string) {
	session := strings.HasPrefix(block.Text, "$ ") || strings.Contains(block.Text, "\n$ ")
	for _, line := range strings.Split(strings.ReplaceAll(block.Text, "\\\n", " "), "\n") {
		command, is := strings.CutPrefix(line, "$ ")
		if is || !session {
			lines = append(lines, command)
		}
	}
	return lines
}

// othersFlags are flags of other programs that pages name: of docker.
var othersFlags = []string{"--stop-timeout"}

var wholeFlag = regexp.MustCompile(`^--[a-z][a-z-]*`)

// TestPages_commandsAndFlagsInSentencesExist looks for the commands and flags that sentences name.
func TestPages_commandsAndFlagsInSentencesExist(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&globalOptions{})
	flags := map[string]bool{"--help": true, "--version": true}
	eachCommand(root, func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { flags["--"+flag.Name] = true })
		cmd.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flags["--"+flag.Name] = true })
	})
	for _, page := range pagesOf(t) {
		for _, code := range page.Code {
			for _, words := range callsOf(code.Text) {
				if fault := unknownIn(root, words[1:]); fault != "" {
					t.Errorf("%s: `%s`: %s", code.Place(), code.Text, fault)
				}
			}
			if name := wholeFlag.FindString(code.Text); name != "" && !flags[name] && !slices.Contains(othersFlags, name) {
				t.Errorf("%s: no command has the flag %s", code.Place(), name)
			}
		}
	}
}

// unknownIn says which word of a command line is no command, or no flag of its command.
func unknownIn(root *cobra.Command, words []string) string {
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && len(rest) > 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(rest[0]) {
		return fmt.Sprintf("'%s' has no command %s", cmd.CommandPath(), rest[0])
	}
	cmd.InitDefaultHelpFlag()
	cmd.InheritedFlags()
	for _, word := range rest {
		name := wholeFlag.FindString(word)
		if name != "" && cmd.Flags().Lookup(name[2:]) == nil && name != "--version" {
			return fmt.Sprintf("'%s' has no flag %s", cmd.CommandPath(), name)
		}
	}
	return ""
}

// TestPages_filesAreRead reads files of settings, of cases and of events by what reads them.
func TestPages_filesAreRead(t *testing.T) {
	t.Parallel()
	eachBlock(t, pages.YAML, func(t *testing.T, block pages.Block) {
		file := filepath.Join(t.TempDir(), "pupwasm.yaml")
		if err := os.WriteFile(file, []byte(block.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		switch block.Note {
		case "settings":
			var out, errs strings.Builder
			if code := execute(t.Context(), []string{"config", "check", "--config", file}, strings.NewReader(""), &out, &errs); code != exitOK {
				err = fmt.Errorf("%s", errs.String())
			}
		case "module":
			_, err = settings.ReadModule(file)
		case "cases":
			_, err = cases.Read(file)
		}
		if err != nil {
			t.Errorf("%s: %v", block.Place(), err)
		}
	})
	eachBlock(t, pages.JSON, func(t *testing.T, block pages.Block) {
		lines, err := eventline.NewReader(strings.NewReader(block.Text), 1<<20)
		for err == nil {
			_, err = lines.Next()
		}
		if err.Error() != "EOF" {
			t.Errorf("%s: %v", block.Place(), err)
		}
	})
}
