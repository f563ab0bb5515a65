package main_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

// pageStep is a command of a page, and what it prints there. A line that is "…" stands for any lines, and within a line
// for anything. Blanks are those of a table.
type pageStep struct {
	command, text string
	want          *regexp.Regexp
}

func pageSteps(page string) (steps []pageStep) {
	blank := ""      // lines, which belong to what is printed where more of it follows
	printed := false // what comes is of the last command: no text is between
	for line := range strings.Lines(page) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		command, isCommand := strings.CutPrefix(text, "$ ")
		switch {
		case line == "\n":
			blank += line
			continue
		case indented && isCommand:
			steps, printed = append(steps, pageStep{command: command}), true
		case indented && printed:
			steps[len(steps)-1].text += blank + text + "\n"
		default:
			printed = false
		}
		blank = ""
	}
	for i := range steps {
		pattern := regexp.QuoteMeta(plainOutput(steps[i].text))
		pattern = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(pattern, `(?s:.*)`)
		steps[i].want = regexp.MustCompile("^" + strings.ReplaceAll(pattern, "…", ".*") + "$")
	}
	return steps
}

var blanks = regexp.MustCompile(` +`)

// plainOutput has one blank for any number.
func plainOutput(text string) string { return blanks.ReplaceAllString(text, " ") }

// shell is a shell that runs one command after the other, and others in the background.
type shell struct {
	t     *testing.T
	in    io.Writer
	out   *bufio.Reader
	count int
}

// startShell starts a shell in a folder, with variables beside those of the tests.
func startShell(t *testing.T, folder string, variables ...string) *shell {
	t.Helper()
	cmd := exec.Command("sh")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+cacheDir(t),
		"PUPWASM_TIMEOUT=0", "PUPWASM_GRACE="+testwait.Patience.String()) // a busy machine takes longer than people do
	cmd.Env = append(cmd.Env, variables...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the host
		_ = cmd.Wait()
	})
	return &shell{t: t, in: in, out: bufio.NewReader(out)}
}

// run returns what a command prints.
func (s *shell) run(command string) string {
	s.t.Helper()
	s.count++
	end := fmt.Sprintf("end of command %d\n", s.count)
	if _, err := io.WriteString(s.in, command+"\necho "+end); err != nil {
		s.t.Fatal(err)
	}
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the shell ended: %v", err)
		}
		if last, is := strings.CutSuffix(line, end); is {
			return printed.String() + last
		}
		printed.WriteString(line)
	}
}
