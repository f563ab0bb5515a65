package settings_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

const everyMember = `batch: 100
commit_events: 2000
batch_pause: 5ms
segments: 8
poll: 2s
on_error: stop
park_max: -1
park_retries: 7
messages_from: beginning
outbox_max: 500
durable: true
memory: 128
fuel: 900000000000
batch_timeout: 10s
instances: reuse
`

func TestModule_everyMemberIsRead(t *testing.T) {
	t.Parallel()
	got, err := settings.ParseModule("f", []byte(everyMember))
	if err != nil {
		t.Fatal(err)
	}
	want := settings.Module{
		Sandbox: host.Settings{
			MemoryMiB: 128, Fuel: 900_000_000_000, BatchTimeout: 10 * time.Second, Instances: host.InstancesReuse,
		},
		Worker: segments.ProjectionOptions{
			BatchEvents: 100, CommitEvents: 2000, BatchPause: 5 * time.Millisecond, Segments: 8, Poll: 2 * time.Second,
			OnError: store.ErrorStop, ParkedMax: -1, ParkedRetries: 7, Durability: store.Durable,
			MessagesFrom: segments.MessagesFromBeginning, OutboxMax: 500,
		},
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if lines := strings.Count(everyMember, "\n"); lines != len(settings.ModuleMembers()) {
		t.Errorf("the test has %d members, there are %d", lines, len(settings.ModuleMembers()))
	}
	if both := got.Or(settings.Module{Worker: segments.ProjectionOptions{BatchEvents: 1}}); both != got {
		t.Errorf("another set changes what is set: %+v", both)
	}
	if both := (settings.Module{}).Or(got); both != got {
		t.Errorf("nothing is taken of another set: %+v", both)
	}
}

func TestModule_refusals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"batch: 0":         "f:1:8: batch must be a whole number from 1 to 100000, it is 0",
		"batch: 100001":    "f:1:8: batch must be a whole number from 1 to 100000, it is 100001",
		"batch: 1.5":       "f:1:8: batch must be a whole number from 1 to 100000, it is 1.5",
		"batch: 1e3":       "f:1:8: batch must be a whole number from 1 to 100000, it is 1e3",
		"batch: 0x10":      "f:1:8: batch must be a whole number from 1 to 100000, it is 0x10",
		"batch: +1":        "f:1:8: batch must be a whole number from 1 to 100000, it is +1",
		`batch: "100"`:     `f:1:8: batch must be a whole number from 1 to 100000, it is "100"`,
		"batch: [1]":       "f:1:8: batch must be a whole number from 1 to 100000, it is a list",
		"batch: {a: 1}":    "f:1:8: batch must be a whole number from 1 to 100000, it is a section",
		"batch:":           "f:1:1: batch has no value: give one, or remove the line for the setting of all modules",
		"batch: ~":         "f:1:1: batch has no value: give one, or remove the line for the setting of all modules",
		"commit_events: 0": "f:1:16: commit_events must be a whole number from 1 to 10000000, it is 0",
		"segments: 1025":   "f:1:11: segments must be a whole number from 1 to 1024, it is 1025",
		"outbox_max: 0":    "f:1:13: outbox_max must be a whole number from 1 to 2147483647, or -1, it is 0",
		"messages_from: 5": "f:1:16: messages_from must be now or beginning, it is 5",
		"park_max: 0":      "f:1:11: park_max must be a whole number from 1 to 2147483647, or -1, it is 0",
		"park_retries: -2": "f:1:15: park_retries must be a whole number from 1 to 2147483647, or -1, it is -2",
		"memory: 2049":     "f:1:9: memory must be a whole number from 1 to 2048, it is 2049",
		"fuel: 0":          "f:1:7: fuel must be a whole number from 1 to 9223372036854775807, it is 0",
		"fuel: 9999999999999999999": "f:1:7: fuel must be a whole number from 1 to 9223372036854775807, " +
			"it is 9999999999999999999",
		"batch_pause: 5": "f:1:14: batch_pause must be a time from 0s to 24h with its unit, such as 500ms, 10s or 2m, it is 5",
		"batch_timeout: 1us": "f:1:16: batch_timeout must be a time from 1ms to 24h with its unit, such as 500ms, 10s or 2m, " +
			"it is 1us",
		"poll: -1s":          "f:1:7: poll must be a time from 0s to 24h with its unit, such as 500ms, 10s or 2m, it is -1s",
		"durable: yes":       "f:1:10: durable must be true or false, it is yes",
		`durable: "true"`:    `f:1:10: durable must be true or false, it is "true"`,
		"on_error: Park":     "f:1:11: on_error must be park, stop or skip, it is Park",
		"instances: none":    "f:1:12: instances must be auto, fresh or reuse, it is none",
		"bacth: 1":           "f:1:1: there is no setting bacth of a module: did you mean batch?",
		"commit-events: 1":   "f:1:1: there is no setting commit-events of a module: did you mean commit_events?",
		"paused: true":       "f:1:1: there is no setting paused of a module",
		"<<: {batch: 1}":     "f:1:1: there is no setting << of a module",
		"\"a\\nb\\e\": true": "f:1:1: there is no setting a b  of a module",
	} {
		_, err := settings.ParseModule("f", []byte(text))
		if lines := faultsOf(t, err); len(lines) != 1 || lines[0] != want {
			t.Errorf("%s:\n%q, want\n%q", text, lines, want)
		}
	}
}

func TestModule_tellsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := settings.ParseModule("f", []byte("fuel: 0\nbatch: 0\nbatch: 1\nname: &x 1\n"))
	lines := faultsOf(t, err)
	if len(lines) != 5 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	if !slices.IsSorted(lines) {
		t.Errorf("%q are not in order", lines)
	}
	if want := lines[0] + " (and 4 more)"; err.Error() != want {
		t.Errorf("in one line it is %q, want %q", err, want)
	}
}

// TestModule_limitsAreThoseOfTheWorker compares the range of each number with what the worker and the host take.
func TestModule_limitsAreThoseOfTheWorker(t *testing.T) {
	t.Parallel()
	for text, beyond := range map[string]segments.ProjectionOptions{
		"batch: 100000": {BatchEvents: 100_001}, "commit_events: 10000000": {CommitEvents: 10_000_001},
		"segments: 1024": {Segments: 1025},
	} {
		most, err := settings.ParseModule("f", []byte(text))
		if err != nil || most.Worker.Validate() != nil {
			t.Errorf("%s: %v, %v", text, err, most.Worker.Validate())
		}
		if beyond.Validate() == nil {
			t.Errorf("%+v is taken by the worker", beyond)
		}
	}
	if (host.Settings{MemoryMiB: host.MemoryMiBMax}).Validate() != nil ||
		(host.Settings{MemoryMiB: host.MemoryMiBMax + 1}).Validate() == nil {
		t.Error("the limit of memory is another one")
	}
}

func TestModule_noPauseIsASetting(t *testing.T) {
	t.Parallel()
	got, err := settings.ParseModule("f", []byte("batch_pause: 0s\n"))
	if err != nil || got.Worker.BatchPause != -1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOfModule_readsAFileSystem(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"fines.yaml": {Data: []byte("batch: 7\n")}, "bad.yaml": {Data: []byte("batch: x\n")},
		"large.yaml": {Data: make([]byte, 65<<10)},
	}
	got, err := settings.OfModule(fsys, "fines.wasm")
	if err != nil || got.Worker.BatchEvents != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = settings.OfModule(fsys, "none.wasm"); err != nil || got != (settings.Module{}) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	for _, module := range []string{"bad.wasm", "large.wasm"} {
		if _, err = settings.OfModule(fsys, module); len(faultsOf(t, err)) != 1 {
			t.Errorf("%s: %v", module, err)
		}
	}
}

// TestPage_hasEveryMember compares the table of docs/settings.md with the members.
func TestPage_hasEveryMember(t *testing.T) {
	t.Parallel()
	path := filepath.Join(guestbuild.Root(t), "docs", "settings.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| member | what it sets | allowed | flag for all modules |\n|---|---|---|---|\n")
	for _, m := range settings.ModuleMembers() {
		flag := cmp.Or(m.Flag, "–")
		if m.Flag != "" {
			flag = "`--" + m.Flag + "`"
		}
		table.WriteString("| `" + m.Name + "` | " + m.Help + " | " + m.Allowed + " | " + flag + " |\n")
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("%s has another table than\n%s", path, table.String())
	}
}
