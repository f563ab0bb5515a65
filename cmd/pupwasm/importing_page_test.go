package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// importingSection is a section of docs/importing.md, with the files that it has its reader save.
type importingSection struct {
	title string
	files map[string]string // by name, which the first line of each says
	steps []pageStep
}

var savedFiles = regexp.MustCompile("(?ms)^```(?:sql|jq)\n((?:--|#) (\\S+)\n.*?)^```$")

func importingSections(t *testing.T) map[string]importingSection {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "importing.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]importingSection{}
	for text := range strings.SplitSeq(string(page), "\n## ") {
		title, text, _ := strings.Cut(text, "\n")
		section := importingSection{title: title, files: map[string]string{}, steps: pageSteps(text)}
		for _, file := range savedFiles.FindAllStringSubmatch(text, -1) {
			section.files[file[2]] = file[1]
		}
		if len(section.steps) > 0 {
			sections[title] = section
		}
	}
	return sections
}

// TestImporting does what docs/importing.md says with the samples of testdata/importing, each section with databases of
// its own, and compares what commands print with the page, and all that is stored with a golden file.
func TestImporting(t *testing.T) {
	t.Parallel()
	sections := importingSections(t)
	for _, test := range []struct{ title, sample, golden, lines string }{
		{"Marten", "marten-sample.sql", "marten-events.jsonl", "marten.jsonl"},
		{"message-db", "message-db-sample.sql", "message-db-events.jsonl", "messages.jsonl"},
		{"KurrentDB (EventStoreDB)", "", "kurrentdb-events.jsonl", "kurrentdb.jsonl"},
		{"CloudEvents", "", "cloudevents-events.jsonl", "cloudevents.jsonl"},
		{"An outbox", "outbox-sample.sql", "outbox-events.jsonl", "outbox.jsonl"},
		{"Debezium's change events", "", "changes-events.jsonl", "changes.jsonl"},
		{"CSV", "", "payments-events.jsonl", "payments.jsonl"},
	} {
		section, is := sections[test.title]
		delete(sections, test.title)
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			if !is {
				t.Fatal("the page has no such section with commands")
			}
			db := pgtest.Empty(t)
			s := startImporting(t, section, db)
			if test.sample != "" {
				s.must(`psql -Xq -v ON_ERROR_STOP=1 -f ` + test.sample + ` "$SOURCE"`)
			}
			for _, step := range section.steps {
				if got := s.run(step.command); !step.want.MatchString(plainOutput(got)) {
					t.Fatalf("$ %s\nprints\n%s\nthe page has\n%s", step.command, got, step.text)
				}
			}
			golden(t, test.golden, s.run("pupwasm events --json"))
			if test.title == "CloudEvents" {
				golden(t, "cloudevents-ids-events.jsonl", s.run("pupwasm events --json --database sqlite:ids.db"))
			}
			// An import that stops and goes on, into either database.
			for _, database := range []string{"sqlite:again.db", `"$AGAIN"`} {
				s.must("head -n 2 " + test.lines + " | pupwasm append - --database " + database + " > said")
				s.must("pupwasm append --batch 1 " + test.lines + " --database " + database + " > said")
				sameEvents(t, s.run("pupwasm events --json"), s.run("pupwasm events --json --database "+database))
			}
		})
	}
	for title := range sections {
		t.Errorf("no test runs the commands of section %s", title)
	}
}

// startImporting starts a shell in a folder with the files of a section and all samples.
func startImporting(t *testing.T, section importingSection, db pgtest.Database) *importingShell {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("testdata/importing")); err != nil {
		t.Fatal(err)
	}
	for name, content := range section.files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	psql := db.Server.Tool("psql")
	if psql == "" {
		t.Fatal("psql is not installed beside PostgreSQL's server: 'make postgres' installs both")
	}
	return &importingShell{startShell(t, folder, "PUPWASM_DATABASE_URL=sqlite:events.db", "SOURCE="+db.DSN,
		"AGAIN="+pgtest.Empty(t).DSN, "PUPWASM_LOG_LEVEL=warn",
		"PATH="+strings.Join([]string{goJQ(t), filepath.Dir(binary(t)), filepath.Dir(psql), os.Getenv("PATH")}, ":"),
		"PGTZ=Asia/Kolkata", "PGCLIENTENCODING=LATIN1", "TZ=America/New_York")} // recipes depend on none of them
}

type importingShell struct{ *shell }

// must runs a command that says nothing.
func (s *importingShell) must(command string) {
	s.t.Helper()
	if got := s.run(command + ` || echo "exit code $?"`); got != "" {
		s.t.Fatalf("$ %s\nprints\n%s", command, got)
	}
}

var goJQBuilt struct {
	once   sync.Once
	folder string
	err    error
}

// goJQ returns a folder with a jq that is the gojq of tools/go.mod.
func goJQ(t *testing.T) string {
	t.Helper()
	b := &goJQBuilt
	b.once.Do(func() {
		b.folder = filepath.Join(filepath.Dir(binary(t)), "gojq")
		cmd := exec.Command("go", "build", "-modfile", "tools/go.mod", "-o", filepath.Join(b.folder, "jq"),
			"github.com/itchyny/gojq/cmd/gojq")
		cmd.Dir, cmd.Env = guestbuild.Root(t), append(os.Environ(), "GOWORK=off") // a workspace takes no other go.mod
		var out []byte
		if out, b.err = cmd.CombinedOutput(); b.err != nil {
			t.Logf("%s", out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.folder
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "importing", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("stored are\n%s\n%s has\n%s", got, path, want)
	}
}

// sameEvents compares events but for their positions, and the order of members.
func sameEvents(t *testing.T, want, got string) {
	t.Helper()
	if a, b := eventValues(t, want), eventValues(t, got); !reflect.DeepEqual(a, b) {
		t.Errorf("events are\n%s\nthey must be\n%s", got, want)
	}
}

// eventValues are JSON lines with their numbers as they are written.
func eventValues(t *testing.T, lines string) (values []map[string]any) {
	t.Helper()
	for line := range strings.Lines(lines) {
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		var value map[string]any
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		delete(value, "global_position")
		values = append(values, value)
	}
	return values
}

// TestImporting_theJQOfThisMachine says that each program for jq either makes the same lines with the jq that is installed
// or, if that one loses digits, refuses to run.
func TestImporting_theJQOfThisMachine(t *testing.T) {
	t.Parallel()
	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Skip("no jq is installed; TestImporting runs the page with gojq")
	}
	folder := t.TempDir()
	for _, section := range importingSections(t) {
		for name, program := range section.files {
			base, is := strings.CutSuffix(name, ".jq")
			if !is {
				continue
			}
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, []byte(program), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"-nc", "-f", path, filepath.Join("testdata", "importing", base+"-sample.jsonl")}
			want, err := exec.Command(filepath.Join(goJQ(t), "jq"), args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			var errs bytes.Buffer
			cmd := exec.Command(jq, args...)
			cmd.Stderr = &errs
			got, err := cmd.Output()
			if err != nil && len(got) == 0 && strings.Count(errs.String(), "\n") == 1 &&
				strings.Contains(errs.String(), "this jq loses digits of numbers: use jq 1.7") {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v: %s", name, err, errs.String())
				continue
			}
			sameEvents(t, string(want), string(got))
		}
	}
}
