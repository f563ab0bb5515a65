package pup_test

import (
	"errors"
	"fmt"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// longest keeps, per type and id, the longest note that was seen and how many there were. An empty note resets it.
type longest struct {
	note  string
	notes int64
}

func longestNotes() pup.Projection {
	table := pup.NewTable("notes", pup.Text("kind").Key(), pup.I64("id").Key(), pup.Text("note"), pup.I64("notes"))
	fold := pup.NewFold(table, pup.FoldFuncs[longest]{
		Key: func(e pup.Event, key *pup.Row) {
			if e.Type() != "Ignored" {
				key.Text(e.Type()).I64(int64(len(e.AggregateID())))
			}
		},
		Load: func(row *pup.Rows, s *longest) { s.note, s.notes = row.Text(), row.I64() },
		Save: func(row *pup.Row, s *longest) { row.Text(s.note).I64(s.notes) },
		Drop: func(s *longest) bool { return s.note == "" },
	})
	return pup.Projection{Tables: []*pup.Table{table}, Handle: func(b *pup.Batch, out *pup.Mutations) error {
		return fold.Run(b, out, func(e pup.Event, s *longest) error {
			note := string(e.Payload())
			if note == "poison" {
				return errors.New("poison")
			}
			if note == "" || len(note) > len(s.note) {
				s.note = note
			}
			s.notes++
			return nil
		})
	}}
}

func note(kind, id, text string) puptest.Event {
	return puptest.Event{Type: kind, AggregateID: id, Payload: text}
}

func TestFold_writesOneRowAKeyInOrderOfFirstSight(t *testing.T) {
	t.Parallel()
	p := newProjection(t, longestNotes())
	p.Apply(note("B", "xx", "ab"), note("Ignored", "x", "long"), note("A", "x", "a"), note("B", "xx", "abc"),
		note("B", "x", "b"))
	p.WantMutations(
		"3 save_notes kind=B id=2 note=abc notes=2",
		"2 save_notes kind=A id=1 note=a notes=1",
		"4 save_notes kind=B id=1 note=b notes=1",
	)
	p.Apply(note("B", "x", "bb"), note("B", "yy", "zz"), note("A", "x", ""))
	p.WantMutations(
		"0 save_notes kind=B id=1 note=bb notes=2",
		"1 save_notes kind=B id=2 note=abc notes=3",
		"2 drop_notes kind=A id=1",
	)
	p.WantRows("notes", "kind=B id=1 note=bb notes=2", "kind=B id=2 note=abc notes=3")
}

func TestFold_anyBatchSplitGivesTheSameRows(t *testing.T) {
	t.Parallel()
	registering.Lock()
	defer registering.Unlock()
	p := longestNotes()
	p.Name, p.Version, p.Ordering = "tested", 1, pup.OrderGlobal
	pup.Register(p)
	var events []puptest.Event
	for i := range 2000 {
		kind := string(rune('A' + i*i%5))
		events = append(events, note(kind, fmt.Sprintf("%*d", 1+i*7%400, i),
			fmt.Sprintf("%.*s", i*31%40, "the quick brown fox jumps over the lazy dog")))
	}
	puptest.CheckSplits(t, events...)
}

func TestFold_errorIsAttributedToItsEvent(t *testing.T) {
	t.Parallel()
	p := newProjection(t, longestNotes())
	problem := p.ApplyError(note("A", "x", "fine"), note("A", "x", "poison"), note("A", "x", "fine"))
	if problem.Event != 1 || problem.Message != "poison" {
		t.Errorf("%+v", problem)
	}
}

func TestFold_wrongKeyIsAnError(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("notes", pup.Text("kind").Key(), pup.I64("id").Key(), pup.Text("note"))
	fold := pup.NewFold(table, pup.FoldFuncs[string]{
		Key:  func(_ pup.Event, key *pup.Row) { key.Text("only one") },
		Load: func(row *pup.Rows, s *string) { *s = row.Text() },
		Save: func(row *pup.Row, s *string) { row.Text(*s) },
	})
	p := newProjection(t, pup.Projection{
		Tables: []*pup.Table{table},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(pup.Event, *string) error { return nil })
		},
	})
	problem := p.ApplyError(puptest.Event{})
	if problem.Message != "the key of a fold of table notes: value 2 of 2, i64, is missing" || problem.Event != 0 {
		t.Errorf("%+v", problem)
	}
}
