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

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestFailures_theStoryIsTrue runs the commands of docs/failures.md, up to its first list of guarantees, in a shell,
// one after the other, and compares what they print. What a host does in the background takes its time: commands that
// only look are repeated until they print what the page says.
func TestFailures_theStoryIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "failures.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, story, _ := strings.Cut(string(page), "## The story of one event\n")
	story, _, _ = strings.Cut(story, "\n## ")
	steps := pageSteps(story)
	if len(steps) < 8 {
		t.Fatalf("the page has %d commands", len(steps))
	}
	s := startShell(t, storyFolder(t))
	for _, step := range steps {
		var got string
		matches := func() bool {
			got = s.run(step.command)
			return step.want.MatchString(plainOutput(got))
		}
		if !strings.HasPrefix(step.command, "cat ") && !strings.HasPrefix(step.command, "grep ") &&
			!strings.HasPrefix(step.command, "pupwasm parked list") {
			if !matches() {
				t.Fatalf("$ %s\nprints\n%s\nthe page has\n%s", step.command, got, step.text)
			}
			continue
		}
		testwait.Until(t, "$ "+step.command+" prints what the page has", matches)
	}
}

// storyFolder is where the story is set.
func storyFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	misbehave := guestbuild.Example(t, guestbuild.Auto, "testdata/misbehave")
	fixed := guestbuild.Example(t, guestbuild.Auto, "testdata/fixed")
	var events strings.Builder
	for _, event := range [][2]string{{"n1", "Fine"}, {"n2", "Panic"}, {"n1", "Fine"}, {"n2", "Fine"}, {"n3", "Fine"}, {"n2", "Fine"}} {
		fmt.Fprintf(&events, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":%q,"event_type":%q}`+"\n",
			event[0], event[1])
	}
	if err := os.Mkdir(filepath.Join(folder, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"modules/misbehave.wasm": misbehave, "fixed.wasm": fixed, "events.jsonl": []byte(events.String()),
		"page": []byte("#!/bin/sh\ncat > new && mv new paged\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// pageStep is a command of a page, and what it prints there. A line that is "…" stands for any lines, and within a line
// for anything. Blanks are those of a table.
type pageStep struct {
	command, text string
	want          *regexp.Regexp
}

func pageSteps(page string) (steps []pageStep) {
	for line := range strings.Lines(page) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented {
			continue
		}
		if command, is := strings.CutPrefix(text, "$ "); is {
			steps = append(steps, pageStep{command: command})
		} else if len(steps) > 0 {
			steps[len(steps)-1].text += text + "\n"
		}
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

func startShell(t *testing.T, folder string) *shell {
	t.Helper()
	cmd := exec.Command("sh")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+cacheDir(t),
		"PUPWASM_TIMEOUT=0", "PUPWASM_GRACE="+testwait.Patience.String()) // a busy machine takes longer than people do
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
