package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pages"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// pagesWithTests are pages whose commands a test of their own runs.
var pagesWithTests = map[string]string{
	"docs/tutorial.md": "tutorial_test.go", "docs/night.md": "night_page_test.go", "docs/versions.md": "versions_page_test.go",
}

// cannotRun are the blocks of commands that do not run in this test, by the page and by how they begin, with the reason.
// Their calls of pupwasm are parsed all the same, and their targets of make and tests must exist.
var cannotRun = []struct{ page, begins, reason string }{
	{"README.md", "make demo", "they build the project and run its tests"},
	{"CONTRIBUTING.md", "", "they build the project, run its tests and publish it"},
	{"docs/abi.md", "clang", "TestC_compiles of internal/pages compiles the program"},
	{"docs/abi.md", "rustc", "TestRust_compiles of internal/pages compiles the program"},
	{"docs/api.md", "openssl", "it asks another machine"},
	{"docs/benchmarks.md", "", "they measure for minutes"},
	{"docs/building.md", "tinygo build", "internal/build compares its own flags with those"},
	{"docs/bundles.md", "$ pupwasm parked export", "of a real log; a script, parked_export, exports and replays"},
	{"docs/deploy.md", "", "they need Docker, systemd, or a server of your own"},
	{"docs/typed-events.md", "go get", "it needs a release; the example has a go.mod"},
	{"docs/failures.md", "$ ", "TestFailures_theStoryIsTrue runs them"},
	{"docs/running.md", "pupwasm append --database postgres://", "two servers; other_log_test.go runs such hosts"},
	{"docs/running.md", "pg_dump", "the command has gaps"},
	{"docs/scale.md", "pupwasm", "they need several servers; relay_test.go and other_log_test.go have them"},
	{"docs/scale.md", "nats", "it needs the command of NATS"},
	{"docs/testing.md", "pupwasm record", "a script, record, does so"},
	{"docs/tracing.md", "pupwasm run", "it needs a collector; tracing_test.go has one"},
	{"guest-sdk/README.md", "tinygo build", "internal/build compares its own flags with those"},
	{"modules/examples/", "(cd modules/examples", "they build the project"},
}

// reasonNot returns the entry of a block in cannotRun, -1 for none.
func reasonNot(block pages.Block) int {
	for i, entry := range cannotRun {
		if strings.HasPrefix(block.Page, entry.page) && strings.HasPrefix(block.Text, entry.begins) {
			return i
		}
	}
	return -1
}

// TestPages_commandsRun runs the blocks of commands of each page in order, in a shell in a folder of its own. Where a
// block shows what commands print, it is compared.
func TestPages_commandsRun(t *testing.T) {
	t.Parallel()
	all, err := pages.All(guestbuild.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	used, ran := map[int]bool{}, 0
	for _, page := range all {
		if pagesWithTests[page.Path] != "" {
			continue
		}
		var run []pages.Block
		for _, block := range page.Blocks {
			if kind, err := block.Kind(); err != nil || kind != pages.Shell {
				continue
			}
			if reason := reasonNot(block); reason >= 0 {
				used[reason] = true
				targetsExist(t, block)
				continue
			}
			run = append(run, block)
		}
		if len(run) == 0 {
			continue
		}
		ran++
		t.Run(strings.ReplaceAll(page.Path, "/", "_"), func(t *testing.T) {
			t.Parallel()
			folder := pageFolder(t, page)
			goCache, err := exec.Command("go", "env", "GOCACHE").Output()
			if err != nil {
				t.Fatal(err)
			}
			cache, err := os.UserCacheDir() // that of compilers
			if err != nil {
				t.Fatal(err)
			}
			s := &pageShell{folder: folder, shell: startShell(t, folder, "XDG_CACHE_HOME="+cache, "GOCACHE="+strings.TrimSpace(string(goCache)),
				"PATH="+filepath.Dir(binary(t))+":"+pathWithTinyGo(), "PUPWASM_SDK_PATH="+filepath.Join(guestbuild.Root(t), "guest-sdk"))}
			if page.Path == "docs/oncall.md" { // there is something to look at
				s.run("pupwasm append events.jsonl; pupwasm run modules > stays.log 2>&1 < /dev/null & stays=$!")
				s.host = true
			}
			for _, block := range run {
				s.runBlock(block)
			}
			s.stopHost()
		})
	}
	for i, entry := range cannotRun {
		if !used[i] {
			t.Errorf("%s has no block that begins with %q: take it from cannotRun", entry.page, entry.begins)
		}
	}
	if ran < 6 {
		t.Errorf("%d pages run", ran)
	}
}

// pageShell runs the commands of a page.
type pageShell struct {
	*shell
	folder string // in which the page begins
	host   bool   // one runs in the background
}

// runBlock runs a block: a session with "$ ", or one command a line.
func (s *pageShell) runBlock(block pages.Block) {
	s.t.Helper()
	text := block.Text
	if strings.HasPrefix(text, "$ ") {
		for _, step := range pageSteps(regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimRight(text, "\n"), "    ")) {
			if got := s.run(step.command); !step.want.MatchString(plainOutput(got)) {
				s.t.Errorf("%s: $ %s\nprints\n%s\nthe page has\n%s", block.Place(), step.command, got, step.text)
			}
		}
		return
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		command, _, _ := strings.Cut(strings.TrimSpace(line), " # ")
		if command = strings.TrimSpace(command); command == "" || command[0] == '#' {
			continue
		}
		s.runLine(block, command)
	}
}

// stays finds commands that go on until they are stopped.
var stays = regexp.MustCompile(`^pupwasm (run( |$)|dev)|--follow|--watch`)

func (s *pageShell) runLine(block pages.Block, command string) {
	s.t.Helper()
	command = strings.ReplaceAll(command, "PATH/TO/pupwasm", guestbuild.Root(s.t))
	if strings.HasPrefix(command, "source <(") {
		command = "bash -c '" + command + "'"
	}
	if stays.MatchString(command) && !strings.Contains(command, "--once") {
		s.stopHost()
		address := freeAddress(s.t)
		command = strings.ReplaceAll(command, " :9464", " "+address)
		s.shell.run(command + " > stays.log 2>&1 < /dev/null & stays=$!")
		s.host = true
		return
	}
	if strings.HasPrefix(command, "go mod init ") { // "in a new folder", says the text
		command = "cd " + filepath.Join(s.folder, strings.Fields(command)[3]) + " && " + command
	}
	want := "ends with 0\n"
	var got string
	again := strings.HasPrefix(command, "pupwasm wait") || strings.HasPrefix(command, "pupwasm status") ||
		strings.HasPrefix(command, "pupwasm segments") || strings.HasPrefix(command, "pupwasm rows") ||
		strings.HasPrefix(command, "pupwasm doctor")
	ends := func() bool {
		got = s.shell.run("{ " + command + "\n} 2>&1; echo ends with $?")
		return strings.HasSuffix(got, want)
	}
	if again { // a host that has just started may not have made anything yet
		testwait.Until(s.t, block.Place()+": "+command+" succeeds", ends)
	} else if !ends() {
		s.t.Fatalf("%s: %s\nprints\n%s%s", block.Place(), command, got, s.shell.run("cat stays.log 2> /dev/null"))
	}
}

// stopHost ends what runs in the background.
func (s *pageShell) stopHost() {
	if s.host {
		s.shell.run("kill $stays 2> /dev/null; wait $stays")
		s.host = false
	}
}

// pageFolder is what the commands of a page find in their folder: the modules and events that the pages speak of, and
// the file that a program of the page is saved to.
func pageFolder(t *testing.T, page *pages.Page) string {
	t.Helper()
	folder := t.TempDir()
	fines := hosttest.Guest{Describe: `{"name":"fines","version":1}`}
	files := map[string][]byte{"events.jsonl": []byte(`{"bounded_context":"Traffic","aggregate_type":"Fine","aggregate_id":"S38735",` +
		`"event_type":"CreateFine","payload":{"amount":62.59}}` + "\n")}
	switch page.Path {
	case "README.md":
		delete(files, "events.jsonl")
		for _, block := range page.Blocks {
			if block.Language == "go" {
				files["event_counter/main.go"] = []byte(block.Text)
			}
		}
	case "docs/cli.md":
	case "docs/building.md":
		counter, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "modules", "examples", "user_counter", "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		mod := "module example.com/counter\n\ngo 1.24\n\nrequire github.com/pupwasm/pupwasm/guest-sdk v0.0.0\n\n" +
			"replace github.com/pupwasm/pupwasm/guest-sdk => " + filepath.Join(guestbuild.Root(t), "guest-sdk") + "\n"
		for _, name := range []string{"main.go", "projections/counter/main.go", "counter/main.go"} {
			files[name] = counter
		}
		files["go.mod"] = []byte(mod)
	case "docs/messages.md":
		files["modules/order_messages.wasm"] = guestbuild.Example(t, guestbuild.Auto, "order_messages")
		order := func(id, eventType, payload string) string {
			return fmt.Sprintf(`{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":%q,"event_type":%q,"payload":%s}`+"\n",
				id, eventType, payload)
		}
		files["events.jsonl"] = []byte(order("o1", "OrderPlaced", `{"user_id":"ann","total":12.50,"currency":"EUR"}`) +
			order("o2", "OrderPlaced", `{"user_id":"bob","total":8.00,"currency":"EUR"}`) +
			order("o1", "OrderPaid", `{"amount":12.50,"currency":"EUR"}`))
		files["more.jsonl"] = []byte(order("o2", "OrderPaid", `{"amount":8.00,"currency":"EUR"}`) +
			order("o2", "OrderCancelled", `{}`))
	default:
		files["modules/fines.wasm"] = fines.Wasm()
		files["modules/fine_balance.wasm"] = guestbuild.Example(t, guestbuild.Auto, "fine_balance")
	}
	for name, content := range files {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

var (
	makeTarget = regexp.MustCompile(`(?m)^\s*make ([a-z-]+)`)
	goTest     = regexp.MustCompile(`(?m)go test (\./\S+)[^#\n]*?(?:-run|-fuzz) '?([A-Z]\w*)`)
)

// targetsExist looks for the targets of make, and for the Go tests, that a block calls.
func targetsExist(t *testing.T, block pages.Block) {
	t.Helper()
	root := guestbuild.Root(t)
	rules, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range makeTarget.FindAllStringSubmatch(block.Text, -1) {
		if !strings.Contains(string(rules), "\n"+target[1]+":") && target[1] != "bin" {
			t.Errorf("%s: there is no 'make %s'", block.Place(), target[1])
		}
	}
	for _, call := range goTest.FindAllStringSubmatch(block.Text, -1) {
		tests, err := filepath.Glob(filepath.Join(root, path.Clean(call[1]), "*_test.go"))
		if err != nil || len(tests) == 0 {
			t.Errorf("%s: %s has no tests", block.Place(), call[1])
		}
		if !slices.ContainsFunc(tests, func(file string) bool {
			text, _ := os.ReadFile(file)
			return regexp.MustCompile(`func (Test|Fuzz)?\w*` + call[2]).Match(text)
		}) {
			t.Errorf("%s: %s has no test %s", block.Place(), call[1], call[2])
		}
	}
}

// TestPages_statementsRun runs the statements of SQL that pages have, in a database with a projection called fines. The
// names that they speak of are there.
func TestPages_statementsRun(t *testing.T) {
	t.Parallel()
	all, err := pages.All(guestbuild.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t)
	conn := db.Connect(t)
	for _, page := range all {
		for _, block := range page.Blocks {
			if kind, err := block.Kind(); err != nil || kind != pages.SQL {
				continue
			}
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			statements := "DO $$ BEGIN CREATE ROLE reporting; EXCEPTION WHEN duplicate_object THEN END $$;" +
				"DO $$ BEGIN CREATE ROLE pupwasm__fines; EXCEPTION WHEN duplicate_object THEN END $$;" +
				"CREATE SCHEMA fines; CREATE VIEW fines.total AS SELECT 1 AS one;" + block.Text
			if _, err := tx.Exec(t.Context(), statements); err != nil {
				t.Errorf("%s: %v", block.Place(), err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
