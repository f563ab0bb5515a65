package replay_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/internal/bundle/replay"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

var update = flag.Bool("update", false, "write the bundle of this version of the format")

// formatFile is a bundle of format 1 as version 1 of the format was, for good.
const formatFile = "testdata/format1.bundle.tar.gz"

// account is a bundle of projection account: the event at position 5 closes an account that has money.
func account(wasm []byte) *bundle.Bundle {
	event := func(position int64, stream, eventType, payload string) store.RecordedEvent {
		e := store.RecordedEvent{
			Event: store.Event{
				ID: store.UUID{15: byte(position)}, Type: eventType, Version: 1, Payload: []byte(payload), Metadata: []byte("{}"),
				CreatedAt: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(position) * time.Second),
			},
			Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: stream},
			Position: position, AggregateVersion: position,
		}
		e.PartitionHash = store.PartitionHash(stream)
		return e
	}
	b := &bundle.Bundle{
		Manifest: bundle.Manifest{
			Pupwasm: "v0.0.0", Projection: store.ProjectionID{Name: "account", Version: 1}, Key: "a1", Attempts: 1,
			ParkedAt: time.Date(2025, 1, 2, 3, 5, 0, 0, time.UTC), Waiting: 3, Database: store.DialectSQLite,
			Module: bundle.Module{File: "account.wasm", Tried: true}, Description: []byte(`{"name":"account","version":1}`),
		},
		Wasm: wasm,
		Events: []store.RecordedEvent{
			event(5, "s1", "Closed", `{"account":{"id":"a1"}}`), event(7, "s1", "Paid", `{"account":{"id":"a1"},"cents":5}`),
			event(9, "s3", "Paid", `{"account":{"id":"a1"},"cents":7}`),
		},
		Rows: []bundle.Row{{Table: "accounts", Values: []byte(`{"account_id":"a1","cents":300,"email":"ann@example.com"}`)}},
	}
	b.Fault = bundle.Fault{
		Position: 5, EventID: b.Events[0].ID.String(),
		Error: "module account.wasm at event 5 of stream Bank/Account/s1: nobody takes the 300 cents of ann@example.com",
	}
	return b
}

func guest(t *testing.T, name string) []byte {
	t.Helper()
	return guestbuild.Example(t, guestbuild.Auto, "testdata/"+name)
}

func newRuntime(t *testing.T) *host.Runtime {
	t.Helper()
	runtime, err := host.NewRuntime(t.Context(), host.Options{
		Logger: zerolog.Nop(), CacheDir: compiled, Compiler: compiler,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	return runtime
}

// show is a report in lines.
func show(r *replay.Report) string {
	lines := []string{fmt.Sprintf("%s %d of %d", r.Outcome, r.Handled, r.Events)}
	if r.Fault != nil {
		lines = append(lines, fmt.Sprintf("%d %s", r.Fault.Position, r.Fault.Error))
	}
	for _, c := range r.Changes {
		lines = append(lines, fmt.Sprintf("%t %s %s", c.Removed, c.Table, c.Row))
	}
	return strings.Join(append(lines, r.Notes...), "\n")
}

const (
	fails  = "reproduced 0 of 3\n5 module account.wasm at event 5 of stream s1: nobody takes the 300 cents of ann@example.com"
	passes = "passes 3 of 3\n" + `true accounts {"account_id":"a1","cents":300,"email":"ann@example.com"}` + "\n" +
		`false accounts {"account_id":"a1","cents":12,"email":"ann@example.com"}`
)

// TestFormat1 replays a bundle that was written when the format was made: it stays readable when the format changes.
// TinyGo, which keeps it small, writes it again: go test ./internal/bundle/replay -run TestFormat1 -update.
func TestFormat1(t *testing.T) {
	t.Parallel()
	if *update {
		var file bytes.Buffer
		err := account(guestbuild.Example(t, guestbuild.TinyGo, "testdata/account")).Write(&file)
		if err == nil {
			err = os.WriteFile(formatFile, file.Bytes(), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := bundle.Read(file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if b.Format != 1 {
		t.Errorf("it has format %d: the bundle of format 1 stays, another format has a file of its own", b.Format)
	}
	runtime := newRuntime(t)
	report, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime})
	if err != nil || show(report) != fails {
		t.Fatalf("the bundle's module: %v\n%s", err, show(report))
	}
	report, err = replay.Run(t.Context(), b, replay.Options{Runtime: runtime, Module: guest(t, "account_fixed"), File: "fixed.wasm"})
	if err != nil || show(report) != passes {
		t.Errorf("the fixed module: %v\n%s", err, show(report))
	}
}

func TestRun_outcomes(t *testing.T) {
	t.Parallel()
	runtime, wasm := newRuntime(t), guest(t, "account")
	tests := []struct {
		name   string
		change func(b *bundle.Bundle)
		want   string
	}{
		{"the host knew the stream by its id", func(b *bundle.Bundle) {
			b.Fault.Error = strings.Replace(b.Fault.Error, "Bank/Account/", "", 1)
		}, fails},
		{
			"without the rows of the key it passes", func(b *bundle.Bundle) { b.Rows = nil },
			"passes 3 of 3\n" + `false accounts {"account_id":"a1","cents":12,"email":""}`,
		},
		{
			"other words are another fault", func(b *bundle.Bundle) { b.Fault.Error = "module account.wasm at event 5: else" },
			strings.Replace(fails, "reproduced", "differs", 1),
		},
		{
			"a later event is another fault", func(b *bundle.Bundle) {
				b.Events[1].Type, b.Events[0].Type, b.Events[0].Payload = "Closed", "Paid", []byte(`{"account":{"id":"a1"},"cents":1}`)
			},
			"differs 1 of 3\n7 module account.wasm at event 7 of stream s1: nobody takes the 306 cents of ann@example.com\n" +
				`true accounts {"account_id":"a1","cents":300,"email":"ann@example.com"}` + "\n" +
				`false accounts {"account_id":"a1","cents":301,"email":"ann@example.com"}`,
		},
		{"what only the database refused", func(b *bundle.Bundle) {
			b.Rows, b.Database = nil, store.DialectPostgres
			b.Fault.Error = `event 5: the database refuses write "save_accounts": violates check constraint "by_hand"`
		}, "passes 3 of 3\n" + `false accounts {"account_id":"a1","cents":12,"email":""}` + "\n" +
			"the database refused it: replay knows only the tables as the module declares them, on SQLite, and nothing that was added by hand, such as a constraint, nor what only another database refuses"},
		{"what the bundle lacks", func(b *bundle.Bundle) {
			b.Waiting, b.Module.Tried, b.Redacted = 9, false, []string{"email"}
			b.Rows = append(b.Rows, bundle.Row{Table: "gone", Values: []byte(`{"a":1}`)})
			b.Rows[0].Values = []byte(`{"account_id":"a1","cents":300,"email":"ann@example.com","since":1}`)
		}, fails + "\nthe bundle has the first 3 of 9 events that waited\nthe module of the bundle is not one that the key was tried with\n" +
			"values were redacted: email\nrows were left out, since the module does not declare column since of table accounts, table gone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := account(wasm)
			test.change(b)
			report, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime})
			if err != nil {
				t.Fatal(err)
			}
			if got := show(report); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestRun_refusesRows(t *testing.T) {
	t.Parallel()
	runtime, wasm := newRuntime(t), guest(t, "account")
	for row, want := range map[string]string{
		`{"account_id":"a1","cents":"300","email":null}`: "rows.jsonl:1: column cents of table accounts is no i64 as bundles have them",
		`{"cents":300,"email":null}`:                     "rows.jsonl:1: a row lacks column account_id of the key of table accounts",
		`{"account_id":"a1","email":null}`:               "rows.jsonl:1: a row lacks column cents of table accounts, which is not null",
		`{"account_id":"a1","cents":null,"email":null}`:  "the rows of the bundle do not fit the module's tables: ",
		`{"account_id":null,"cents":1,"email":null}`:     "the rows of the bundle do not fit the module's tables: ",
	} {
		b := account(wasm)
		b.Rows[0].Values = []byte(row)
		if _, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("row %s: error is %v, want %q", row, err, want)
		}
	}
	b := account(wasm)
	b.Rows = append(b.Rows, bundle.Row{Table: "accounts", Values: []byte(`{"account_id":"a2","cents":1}`)})
	if _, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime}); err == nil || err.Error() != "rows.jsonl:2: the rows of table accounts have different columns" {
		t.Errorf("rows of different columns: %v", err)
	}
	b.Rows[1].Values = b.Rows[0].Values
	if _, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime}); err == nil || !strings.Contains(err.Error(), "do not fit the module's tables: UNIQUE") {
		t.Errorf("a row twice: %v", err)
	}
}

func TestRun_refusesModules(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t)
	b := account([]byte("\x00asm"))
	if _, err := replay.Run(t.Context(), b, replay.Options{Runtime: runtime}); err == nil || !strings.Contains(err.Error(), "module account.wasm: ") {
		t.Errorf("no module: %v", err)
	}
	options := replay.Options{Runtime: runtime, Module: guest(t, "fixed"), File: "fixed.wasm"}
	if _, err := replay.Run(t.Context(), b, options); err == nil || err.Error() != `module fixed.wasm is projection "misbehave", the bundle is of projection "account"` {
		t.Errorf("a module of another projection: %v", err)
	}
}
