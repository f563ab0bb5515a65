package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestCheck_findsWhatRowsDependOn has a module whose rows depend, by the type of the events, on one thing more.
func TestCheck_findsWhatRowsDependOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeModule(t, folder, "depends.wasm", guestbuild.Module(t, guestbuild.Go,
		guestbuild.Root(t)+"/modules/examples/testdata/depends"))
	for eventType, want := range map[string]string{
		"Fine": "", "Time": "They depend on the time", "Random": "They depend on random numbers", "Map": "or on the order of a map",
		"Global": "what the module keeps between batches", "Batch": "They depend on where batches begin",
	} {
		t.Run(eventType, func(t *testing.T) {
			t.Parallel()
			events := t.TempDir() + "/events.jsonl"
			lines := ""
			for n := range 150 {
				lines += fmt.Sprintf(`{"bounded_context":"Test","aggregate_type":"Thing","aggregate_id":"t%d","event_type":%q,"payload":{}}`+"\n", n%7, eventType)
			}
			write(t, events, []byte(lines))
			p := start(t, "sqlite:none.db", "check", folder+"/depends.wasm", "--events", events)
			code, said := p.wait(t), p.output.String()
			if !strings.Contains(said, "depends: 150 events, 150 rows with one event in a batch") {
				t.Errorf("it says %s", said)
			}
			if want == "" {
				if code != 0 || strings.Contains(said, "DIFFERENT ROWS") {
					t.Errorf("exit code %d: %s", code, said)
				}
				return
			}
			if code != 1 || !strings.Contains(said, want) ||
				!strings.Contains(said, "DIFFERENT ROWS: table rows has position=") {
				t.Errorf("exit code %d, want 1 with %q: %s", code, want, said)
			}
			if !strings.Contains(said, "the same settings again                    the same rows") {
				t.Errorf("the same run gives other rows: %s", said)
			}
		})
	}
}

// TestCheck_findsWhatMessagesDependOn has a module that sends what depends, by the type of the events, on one thing more.
func TestCheck_findsWhatMessagesDependOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeModule(t, folder, "chatty.wasm", guestbuild.Module(t, guestbuild.Go,
		guestbuild.Root(t)+"/modules/examples/testdata/chatty"))
	for eventType, want := range map[string]string{
		"Fine": "", "Batch": ", and sent chatty.v1.", "Global": ", and sent chatty.v1.", "Last": "DIFFERENT MESSAGES: it does not send chatty.v1.",
	} {
		t.Run(eventType, func(t *testing.T) {
			t.Parallel()
			events := t.TempDir() + "/events.jsonl"
			lines := ""
			for n := range 150 {
				lines += fmt.Sprintf(`{"bounded_context":"Test","aggregate_type":"Thing","aggregate_id":"t%d","event_type":%q,"payload":{}}`+"\n", n%7, eventType)
			}
			write(t, events, []byte(lines))
			p := start(t, "sqlite:none.db", "check", folder+"/chatty.wasm", "--events", events)
			code, said := p.wait(t), p.output.String()
			if !strings.Contains(said, "chatty: 150 events, 0 rows, 150 messages with one event in a batch") ||
				!strings.Contains(said, "the same settings again                    the same rows and messages") {
				t.Errorf("it says %s", said)
			}
			if code != map[bool]int{true: 0, false: 1}[want == ""] || !strings.Contains(said, want) ||
				strings.Contains(said, "DIFFERENT") != (want != "") {
				t.Errorf("exit code %d, want %q: %s", code, want, said)
			}
		})
	}
}

// TestCheck_examplesDependOnNothing makes up events for each.
func TestCheck_examplesDependOnNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"activity_log", "customer_totals", "fine_balance", "order_messages", "revenue", "user_counter"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			writeModule(t, folder, name+".wasm", guestbuild.Example(t, guestbuild.Auto, name))
			said := runCommand(t, "sqlite:none.db", "check", folder+"/"+name+".wasm", "--count", "300")
			if !strings.Contains(said, name+": 300 events, ") || strings.Contains(said, ", 0 rows with") ||
				strings.Contains(said, ", 0 messages") {
				t.Errorf("it says %s", said)
			}
		})
	}
}
