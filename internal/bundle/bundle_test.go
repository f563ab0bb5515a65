package bundle_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/bundle"
	"github.com/pupwasm/pupwasm/store"
)

// sample is a bundle of two events and a row.
func sample() *bundle.Bundle {
	event := func(position int64, payload string) store.RecordedEvent {
		e := store.RecordedEvent{
			Event: store.Event{
				ID: store.UUID{byte(position)}, Type: "Paid", Version: 1, Payload: []byte(payload), Metadata: []byte("{}"),
				CreatedAt: time.Date(2025, 1, 2, 3, 4, 5, 6000, time.UTC),
			},
			Stream:   store.Stream{BoundedContext: "Bank", AggregateType: "Account", AggregateID: "a1"},
			Position: position, AggregateVersion: position,
		}
		e.PartitionHash = store.PartitionHash(e.AggregateID)
		return e
	}
	b := &bundle.Bundle{
		Manifest: bundle.Manifest{
			Pupwasm: "v1", Projection: store.ProjectionID{Name: "account", Version: 1}, Key: "a1", Attempts: 1, Waiting: 2,
			ParkedAt: time.Date(2025, 1, 2, 3, 4, 6, 0, time.UTC), Database: store.DialectSQLite,
			Module: bundle.Module{File: "account.wasm", Tried: true}, Description: []byte("{}"),
		},
		Wasm:   []byte("\x00asm no module"),
		Events: []store.RecordedEvent{event(7, `{"cents":5}`), event(1<<53+1, `{"cents":6}`)},
		Rows:   []bundle.Row{{Table: "accounts", Values: []byte(`{"account_id":"a1","cents":300}`)}},
	}
	b.Fault = bundle.Fault{Position: 7, EventID: b.Events[0].ID.String(), Error: "module account.wasm at event 7: <no>"}
	return b
}

func written(t testing.TB, b *bundle.Bundle) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := b.Write(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestRead_whatWriteWrites(t *testing.T) {
	t.Parallel()
	want := sample()
	file := written(t, want)
	if again := written(t, sample()); !bytes.Equal(file, again) {
		t.Error("equal bundles have different bytes")
	}
	got, err := bundle.Read(bytes.NewReader(file), 1<<20)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back: %+v, %v", got, err)
	}
}

func TestWrite_refusesWhatReadRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bundle.Bundle){
		"bytes of rows": func(b *bundle.Bundle) { b.Rows[0].Values = make([]byte, bundle.RowsBytesMax) },
		"rows":          func(b *bundle.Bundle) { b.Rows = make([]bundle.Row, bundle.RowsMax+1) },
		"events":        func(b *bundle.Bundle) { b.Events = make([]store.RecordedEvent, bundle.EventsMax+1) },
	} {
		b := sample()
		change(b)
		if err := b.Write(new(bytes.Buffer)); err == nil {
			t.Errorf("%s above the limit are written", name)
		}
	}
}
