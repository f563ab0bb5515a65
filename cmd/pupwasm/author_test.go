package main_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/scaffold"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// newProject makes the folder of a new projection, whose SDK is that of this checkout.
func newProject(t *testing.T, template string) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "orders")
	run(t, "", "new", "orders", "--template", template, "--dir", folder, "--sdk-path", filepath.Join(guestbuild.Root(t), "guest-sdk"))
	return folder
}

// compilersOfTests are those that tests of authors' commands use.
func compilersOfTests() []string {
	if os.Getenv("PUPWASM_REQUIRE_TINYGO") != "" {
		return []string{"go", "tinygo"}
	}
	return []string{"go"}
}

func TestNew_everyTemplatePassesItsTests(t *testing.T) {
	t.Parallel()
	for _, template := range scaffold.Names() {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			folder := newProject(t, template)
			for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
				cmd := exec.Command("go", args...)
				cmd.Dir = folder
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("go %v: %v: %s", args, err, out)
				}
			}
			for _, compiler := range compilersOfTests() {
				if out := runCommand(t, "", "test", folder, "--compiler", compiler); strings.Contains(out, "FAIL") || !strings.Contains(out, "passed") {
					t.Errorf("with %s: %s", compiler, out)
				}
			}
		})
	}
}

func TestNew_refusesWhatIsThere(t *testing.T) {
	t.Parallel()
	folder := newProject(t, "log")
	sdk := filepath.Join(guestbuild.Root(t), "guest-sdk")
	for want, args := range map[string][]string{
		"exists: --dir names another folder":              {"new", "orders", "--dir", folder, "--sdk-path", sdk},
		`projection "Orders": is not a name`:              {"new", "Orders", "--sdk-path", sdk},
		"--template tables: there are counter":            {"new", "orders", "--template", "tables"},
		"is not the folder guest-sdk of a checkout":       {"new", "other", "--dir", folder + "2", "--sdk-path", folder},
		"is no release, which has its SDK to download: -": {"new", "other", "--dir", folder + "2"},
	} {
		p := start(t, "", args...)
		if code := p.wait(t); code != 2 || !strings.Contains(p.output.String(), want) {
			t.Errorf("%v exits with %d: %s", args, code, p.output)
		}
	}
	if _, err := os.Stat(folder + "2"); !os.IsNotExist(err) {
		t.Error("a folder is left:", err)
	}
}

// TestNew_joinsAWorkspace makes a projection where go.work has the SDK.
func TestNew_joinsAWorkspace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.work"), []byte("go 1.24\n\nuse "+filepath.Join(guestbuild.Root(t), "guest-sdk")+"\n"))
	p := exec.Command(binary(t), "new", "orders")
	p.Dir = folder
	if out, err := p.CombinedOutput(); err != nil || !strings.Contains(string(out), "it was added to ") {
		t.Fatalf("%v: %s", err, out)
	}
	test := exec.Command("go", "test", "./...")
	test.Dir = filepath.Join(folder, "orders")
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// author runs 'pupwasm dev' and gives it commands.
type author struct {
	*process
	t      *testing.T
	folder string
	keys   *os.File
}

func startAuthor(t *testing.T, folder string, args ...string) *author {
	t.Helper()
	return startAuthorWith(t, folder, "go", args...)
}

func startAuthorWith(t *testing.T, folder, compiler string, args ...string) *author {
	t.Helper()
	read, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	a := &author{t: t, folder: folder, keys: keys}
	a.process = startWith(t, "", read, append([]string{"dev", folder, "--compiler", compiler}, args...)...)
	read.Close()
	return a
}

func (a *author) press(key string) {
	a.t.Helper()
	if _, err := io.WriteString(a.keys, key+"\n"); err != nil {
		a.t.Fatal(err)
	}
}

// await waits for a line, of which there must be so many.
func (a *author) await(line string, times int) {
	a.t.Helper()
	testwait.Until(a.t, line, func() bool { return strings.Count(a.output.String(), line) >= times })
}

// edit replaces a text in the source.
func (a *author) edit(before, after string) {
	a.t.Helper()
	path := filepath.Join(a.folder, "main.go")
	text, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, path, []byte(strings.Replace(string(text), before, after, 1)))
}

func TestDev_showsWhatBecomesOfTheRows(t *testing.T) {
	t.Parallel()
	a := startAuthor(t, newProject(t, "counter"))
	a.await("customer_id=ann orders=2 total_cents=2000 ", 1)
	a.press("f")
	a.await("4 events of the fixtures appended", 1)
	a.await("customer_id=ann orders=4 total_cents=4000 ", 1)

	a.edit("Text(customer).I64(1)", "Text(customer).I64(10)") // the rows are made again
	a.await("customer_id=ann orders=40 total_cents=4000 ", 1)

	a.edit("cents int64", "cents int65") // what does not build leaves the module before at work
	a.await("undefined: int65", 1)
	a.press("f")
	a.await("customer_id=ann orders=60 total_cents=6000 ", 1)
	a.edit("cents int65", "cents int64") // the same module as before: the rows stay
	a.await("built ", 3)

	events := filepath.Join(a.folder, ".pupwasm", "events.db")
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	write(t, bad, []byte(`{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":"9","event_type":"OrderPlaced","payload":{"total":1}}`))
	run(t, "sqlite:"+events, "append", bad)
	a.await("the order names no customer", 1)
	a.await(`"aggregate_id":"9"`, 1)

	a.press("q")
	if code := a.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, a.output)
	}
}

// TestDev_showsMessages has those of all events shown, and those of a build after it once more.
func TestDev_showsMessages(t *testing.T) {
	t.Parallel()
	a := startAuthor(t, newProject(t, "messages"))
	const sent = `1 message sent
  order_paid shop.orders.ann.paid key=1 {"order_id":"1","total_cents":1250}`
	a.await(sent, 1)
	a.press("f")
	a.await(sent, 2)
	a.edit(`,"total_cents":`, `,"cents":`) // the messages are made again, as the rows are
	a.await(`"cents":1250}`, 2)
	a.press("q")
	if code := a.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, a.output)
	}
}

// TestDev_continue keeps the rows over changes and restarts.
func TestDev_continue(t *testing.T) {
	t.Parallel()
	folder := newProject(t, "counter")
	a := startAuthor(t, folder, "--on-change", "continue")
	a.await("customer_id=ann orders=2 ", 1)
	second := start(t, "", "dev", folder)
	if code := second.wait(t); code != 2 || !strings.Contains(second.output.String(), "another 'pupwasm dev' runs there") {
		t.Errorf("a second session exits with %d: %s", code, second.output)
	}
	a.edit("Text(customer).I64(1)", "Text(customer).I64(10)")
	a.await("built ", 2)
	a.press("f")
	a.await("customer_id=ann orders=22 ", 1)
	_ = a.cmd.Process.Kill()
	<-a.exited

	a = startAuthor(t, folder, "--on-change", "continue")
	a.await("built ", 1)
	a.press("f")
	a.await("customer_id=ann orders=42 ", 1)
	a.edit(`pup.Timestamp("last_order")`, `pup.Timestamp("last_order").NotNull()`)
	a.await("error: ", 1)
	a.press("r") // in empty tables another declaration is right, if it is one
	a.await("rebuilding the tables", 1)
	a.await("error: ", 2)
	a.edit(`pup.Timestamp("last_order").NotNull()`, `pup.Timestamp("last_order")`)
	a.await("built ", 2)
	a.press("r")
	a.await("customer_id=ann orders=60 ", 1)
	a.press("q")
	a.wait(t)
}

// TestDev_rowsOnMariaDB has the rows in a database of a server, which is removed at the end.
func TestDev_rowsOnMariaDB(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, onMariaDB)
	a := startAuthor(t, newProject(t, "counter"), "--database", db.DSN)
	a.await("customer_id=ann orders=2 total_cents=2000 ", 1)
	a.edit("Text(customer).I64(1)", "Text(customer).I64(10)") // the rows are made again
	a.await("customer_id=ann orders=20 total_cents=2000 ", 1)
	a.press("q")
	if code := a.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, a.output)
	}
	left := -1
	db.one(t, "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'pup|_%' ESCAPE '|'", &left)
	if left != 0 {
		t.Errorf("%d databases are left", left)
	}
}

// TestTest_faultsGoAsTheProjectionSays has an event that fails between others, and each policy.
func TestTest_faultsGoAsTheProjectionSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ member, first, second string }{
		"park":   {"", "placed", "paid"},
		"skip":   {"OnError: pup.Skip,", "paid", "paid"},
		"stop":   {"OnError: pup.Stop,", "placed", "placed"},
		"global": {"Ordering: pup.OrderGlobal,", "placed", "placed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &author{t: t, folder: newProject(t, "state")}
			a.edit("Handle: handle,", "Handle: handle, "+test.member)
			a.edit(`		case "OrderErased":`, "		case \"OrderBroken\":\n\t\t\treturn pup.ErrorAt(e, 1, \"the order is broken\")\n\t\tcase \"OrderErased\":")
			write(t, filepath.Join(a.folder, "cases", "orders.yaml"), []byte(`defaults: {bounded_context: Shop, aggregate_type: Order}
cases:
  - name: a broken order
    given:
      - {aggregate_id: a, event_type: OrderPlaced, payload: {customer_id: ann, total: 1}}
      - {aggregate_id: b, event_type: OrderPlaced, payload: {customer_id: ann, total: 1}}
    when:
      - {aggregate_id: a, event_type: OrderBroken}
      - {aggregate_id: a, event_type: OrderPaid}
      - {aggregate_id: b, event_type: OrderPaid}
    then:
      fault: {event: 1, error: the order is broken}
      rows: {orders: [{order_id: a, state: `+test.first+`}, {order_id: b, state: `+test.second+`}]}
`))
			p := start(t, "", "test", a.folder, "--compiler", "go")
			if code := p.wait(t); code != 0 {
				t.Errorf("exit code %d: %s", code, p.output)
			}
		})
	}
}
