package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestTutorial follows docs/tutorial.md in an empty folder, with each compiler, and compares what its commands print.
func TestTutorial(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, compiler := range compilersOfTests() {
		t.Run(compiler, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := &reader{t: t, folder: t.TempDir(), compiler: compiler}
			for _, block := range fencedBlocks.FindAllStringSubmatch(string(page), -1) {
				switch block[1] {
				case "sh":
					r.shell(block[2])
				case "diff":
					r.patch(block[2])
				}
			}
			if r.commands < 15 || r.dev == nil {
				t.Fatalf("only %d commands were found", r.commands)
			}
			r.dev.await("customer_id=ann orders=2 total_cents=2000 largest_cents=1250 ", 1)
			r.dev.await("customer_id=eve orders=1 total_cents=100 largest_cents=100 ", 1)
			r.dev.press("q")
			if code := r.dev.wait(t); code != 0 {
				t.Errorf("dev exits with %d: %s", code, r.dev.output)
			}
			t.Logf("the commands took %s", time.Since(began).Round(time.Second))
		})
	}
}

var fencedBlocks = regexp.MustCompile("(?ms)^```(sh|diff|yaml)\n(.*?)^```$")

// reader does what the page says.
type reader struct {
	t        *testing.T
	folder   string
	compiler string
	commands int
	dev      *author
}

// shell runs the commands of a block, which begin with "$ ", and looks for the lines below each in what it prints.
func (r *reader) shell(block string) {
	r.t.Helper()
	command, want := "", ""
	for line := range strings.Lines(block + "$ \n") {
		switch {
		case strings.HasPrefix(line, "$ "):
			if command != "" {
				r.command(command, want)
			}
			command, want = strings.TrimPrefix(line, "$ "), ""
		case strings.Contains(command, "<<'END'") && !strings.HasSuffix(command, "\nEND\n"):
			command += line
		default:
			want += line
		}
	}
}

func (r *reader) command(command, want string) {
	r.t.Helper()
	r.commands++
	switch strings.TrimSpace(command) {
	case "make build", "export PATH=$PWD/bin:$PATH", "export SDK=$PWD/guest-sdk":
		return // the program of the tests is built
	case "cd order_counter":
		r.folder = filepath.Join(r.folder, "order_counter")
		return
	case "export PUPWASM_DATABASE_URL=sqlite:shop.db":
		return // the environment has it
	case "pupwasm dev":
		r.dev = startAuthorWith(r.t, r.folder, r.compiler)
		r.dev.await("customer_id=ann orders=2 total_cents=2000 last_order", 1)
		return
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = r.folder
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(r.t))+":"+pathWithTinyGo(),
		"SDK="+filepath.Join(guestbuild.Root(r.t), "guest-sdk"), "PUPWASM_BUILD_COMPILER="+r.compiler,
		"PUPWASM_DATABASE_URL=sqlite:shop.db")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		r.t.Fatalf("%s: %v: %s", command, err, out.String())
	}
	got := plain(out.String())
	for line := range strings.Lines(want) {
		if !strings.Contains(got, plain(line)) {
			r.t.Errorf("%s prints\n%s\nwant the line\n%s", command, out.String(), line)
		}
	}
}

var (
	digits        = regexp.MustCompile(`[0-9]+(\.[0-9]+)*`)
	compilerNamed = regexp.MustCompile(`by (TinyGo|Go) N, N (KB|MB), (compiled in N s|from the cache|unchanged)`)
	cachedTest    = regexp.MustCompile(`\t(\(cached\)|Ns)`)
)

// plain is a text without what differs from run to run.
func plain(text string) string {
	text = digits.ReplaceAllString(text, "N")
	text = compilerNamed.ReplaceAllString(text, "by a compiler")
	return cachedTest.ReplaceAllString(text, "\tNs")
}

// patch makes the changes of a diff whose hunks have no line numbers: what a hunk removes and keeps is in the file once.
func (r *reader) patch(diff string) {
	r.t.Helper()
	_, file, _ := strings.Cut(diff, "+++ b/")
	file, hunks, _ := strings.Cut(file, "\n")
	path := filepath.Join(r.folder, file)
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	changed := string(text)
	for hunk := range strings.SplitSeq(hunks, "@@\n") {
		var before, after strings.Builder
		for line := range strings.Lines(hunk) {
			if line[0] != '+' {
				before.WriteString(line[1:])
			}
			if line[0] != '-' {
				after.WriteString(line[1:])
			}
		}
		if before.Len() == 0 {
			continue
		}
		if strings.Count(changed, before.String()) != 1 {
			r.t.Fatalf("%s does not have once:\n%s", file, before.String())
		}
		changed = strings.Replace(changed, before.String(), after.String(), 1)
	}
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if file == "main.go" {
		r.dev.await("largest_cents=1250 ", 1)
	}
}
