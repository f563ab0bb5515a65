package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// eachVisible calls fn for every command that the help lists, and for the root.
func eachVisible(root *cobra.Command, fn func(cmd *cobra.Command)) {
	eachCommand(root, func(cmd *cobra.Command) {
		if !cmd.Hidden {
			fn(cmd)
		}
	})
}

// TestHabits_everyCommandHasExamplesThatParse resolves each command line of each example, without running it.
func TestHabits_everyCommandHasExamplesThatParse(t *testing.T) {
	t.Parallel()
	eachVisible(newRootCommand(&globalOptions{}), func(cmd *cobra.Command) {
		own := false
		for _, line := range strings.Split(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || strings.TrimSpace(line) == "" {
				t.Errorf("%s: the line %q of its examples does not begin with two blanks", cmd.CommandPath(), line)
				continue
			}
			for _, words := range commandLines(t, line) {
				found := tryLine(t, cmd, words)
				own = own || strings.HasPrefix(found, cmd.CommandPath())
			}
		}
		if !own {
			t.Errorf("%s has no example of its own", cmd.CommandPath())
		}
	})
}

// tryLine parses a command line and returns the path of its command.
func tryLine(t *testing.T, of *cobra.Command, words []string) string {
	t.Helper()
	root := newRootCommand(&globalOptions{}) // flags keep what they were set to
	cmd, rest, err := root.Find(words[1:])
	if err == nil {
		cmd.InitDefaultHelpFlag()
		err = cmd.ParseFlags(rest)
	}
	if err == nil && cmd.Args != nil && !cmd.Flags().Changed("help") {
		err = cmd.Args(cmd, cmd.Flags().Args())
	}
	if err == nil {
		cmd.Flags().Visit(func(flag *pflag.Flag) {
			if values := flag.Annotations[choicesAnnotation]; values != nil && !slices.Contains(values, flag.Value.String()) {
				t.Errorf("%s: --%s has no value %s", of.CommandPath(), flag.Name, flag.Value)
			}
		})
	}
	if err != nil {
		t.Errorf("%s: example %q: %v", of.CommandPath(), strings.Join(words, " "), err)
	}
	return cmd.CommandPath()
}

// shellWords finds the words of a line: quoted ones, those that end a command, and others.
var shellWords = regexp.MustCompile(`"[^"]*"|'[^']*'|&&|\|\||[|;()]|[^\s|;()]+`)

// commandLines returns the command lines of pupwasm in an example, in words.
func commandLines(t *testing.T, line string) [][]string {
	t.Helper()
	lines := callsOf(line)
	if len(lines) == 0 {
		t.Errorf("the example %q does not call pupwasm", line)
	}
	return lines
}

// callsOf returns the command lines of pupwasm in a line of a shell, in words.
func callsOf(line string) (lines [][]string) {
	var words []string
	end := func() {
		for len(words) > 0 && strings.Contains(words[0], "=") {
			words = words[1:] // a variable
		}
		if at := slices.IndexFunc(words, func(word string) bool { return redirection.MatchString(word) }); at >= 0 {
			words = words[:at]
		}
		if len(words) > 0 && path.Base(words[0]) == "pupwasm" {
			lines = append(lines, words)
		}
		words = nil
	}
	line, _, _ = strings.Cut(line+" ", " # ")
	for _, word := range shellWords.FindAllString(line, -1) {
		switch {
		case strings.Contains("&&||;()", word):
			end()
		case word == "…":
		default:
			words = append(words, strings.Trim(word, `"'`))
		}
	}
	end()
	return lines
}

var redirection = regexp.MustCompile(`^[0-9]?[<>]`)

// withoutJSON are the commands that have no result of their own, with the reason.
var withoutJSON = map[string]string{
	"help":                  "prints what the help of commands is",
	"completion bash":       "prints a script for a shell",
	"completion zsh":        "prints a script for a shell",
	"completion fish":       "prints a script for a shell",
	"completion powershell": "prints a script for a shell",
	"migrate sql":           "prints a script for a database",
	"grant":                 "prints a script for a database",
	"record":                "prints events as JSON lines always",
}

// TestHabits_everyResultComesAsJSON wants --json of every command, and its form in docs/cli.md.
func TestHabits_everyResultComesAsJSON(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	eachVisible(newRootCommand(&globalOptions{}), func(cmd *cobra.Command) {
		name := sectionOf(cmd)
		_, without := withoutJSON[name]
		flag := cmd.Flags().Lookup("json")
		switch {
		case cmd.HasSubCommands():
		case without && flag != nil:
			t.Errorf("%s has --json: take it from the list of those that have not", name)
		case without:
		case flag == nil:
			t.Errorf("%s has no --json", name)
		case !strings.Contains(flag.Usage, "print JSON"):
			t.Errorf("%s: the usage of --json is %q", name, flag.Usage)
		case !strings.Contains(string(page), "\n| `"+name+"` | "):
			t.Errorf("docs/cli.md does not say what '%s --json' prints", name)
		}
	})
}

// TestHabits_everyArgumentIsCompleted wants something for the shell to offer, or the word that there is nothing.
func TestHabits_everyArgumentIsCompleted(t *testing.T) {
	t.Parallel()
	eachVisible(newRootCommand(&globalOptions{}), func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
			t.Errorf("%s takes arguments and completes none", cmd.CommandPath())
		}
	})
}

// freeValues are what the usages of flags call values that nobody can list.
var freeValues = []string{
	"COLUMN=VALUE", "CONTEXT/TYPE/ID", "URI", "URL", "address", "context", "expression", "fields", "key", "name", "role", "time", "type",
}

// ofFiles finds the usages of flags whose value is a path.
var ofFiles = regexp.MustCompile(`\b(file|folder)\b`)

// TestHabits_everyFlagIsCompleted asks for the completion of each flag that takes a text.
func TestHabits_everyFlagIsCompleted(t *testing.T) {
	t.Parallel()
	eachVisible(newRootCommand(&globalOptions{}), func(cmd *cobra.Command) {
		cmd.InheritedFlags() // adds them to the flags of the command
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.NoOptDefVal != "" || flag.Name == "help" || cmd.HasSubCommands() {
				return
			}
			offered, directive := completed(t, append(strings.Fields(sectionOf(cmd)), "--"+flag.Name, "")...)
			value, usage := pflag.UnquoteUsage(flag)
			place := cmd.CommandPath() + " --" + flag.Name
			choices := flag.Annotations[choicesAnnotation]
			text := slices.Contains([]string{"string", "stringArray", "stringSlice"}, flag.Value.Type())
			switch {
			case !text && directive != cobra.ShellCompDirectiveNoFileComp:
				t.Errorf("%s completes files, and takes a %s", place, flag.Value.Type())
			case !text:
			case choices != nil:
				if !slices.Equal(offered, choices) {
					t.Errorf("%s offers %q, must be %q", place, offered, choices)
				}
				for _, choice := range choices {
					if !regexp.MustCompile(`\b` + choice + `\b`).MatchString(usage) {
						t.Errorf("%s: the usage does not have the value %s", place, choice)
					}
				}
			case isDatabase(flag):
				if len(offered) != len(dialects) || directive&cobra.ShellCompDirectiveNoFileComp == 0 {
					t.Errorf("%s offers %q, %d", place, offered, directive)
				}
			case ofFiles.MatchString(usage):
				if directive&cobra.ShellCompDirectiveNoFileComp != 0 {
					t.Errorf("%s completes no files", place)
				}
			case !slices.Contains(freeValues, value):
				t.Errorf("%s takes a %q: name its values by flagChoices(), call it a `file` or a `folder`, or add the name to "+
					"freeValues", place, value)
			case directive&cobra.ShellCompDirectiveNoFileComp == 0:
				t.Errorf("%s completes files", place)
			}
		})
	})
}

// completed returns what the shell offers for the last word of a command line.
func completed(t *testing.T, words ...string) (offered []string, directive cobra.ShellCompDirective) {
	t.Helper()
	var out, errs strings.Builder
	if code := execute(t.Context(), append([]string{cobra.ShellCompNoDescRequestCmd}, words...), strings.NewReader(""), &out,
		&errs); code != exitOK {
		t.Fatalf("completing %q exits with %d: %s", words, code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], ":")
	for i := range last {
		directive = 10*directive + cobra.ShellCompDirective(last[i]-'0')
	}
	return lines[:len(lines)-1], directive
}
