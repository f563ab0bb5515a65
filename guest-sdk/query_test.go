package pup_test

import (
	"fmt"
	"strings"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestQuery_resultsStayBesideEachOther(t *testing.T) {
	t.Parallel()
	table, count := newCounter()
	lookup := pup.NewQuery("lookup", pup.SQL{Any: "select …"}, []pup.Type{pup.TypeI64},
		[]pup.Type{pup.TypeText, pup.TypeText.Array(), pup.TypeBool, pup.TypeF64})
	var got []string
	handle := func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			lookup.Args(b).I64(e.Position())
			for rows := lookup.Run(b); rows.Next(); {
				name := rows.Text()
				for range rows.Array() {
					if rows.Null() {
						name += "-"
					} else {
						name += rows.Text()
					}
				}
				got = append(got, name) // the last two columns are passed over
			}
			count.Row(out, e).Text("x").I64(1)
		}
		for i, name := range got {
			if want := answerText(int64(i+1)) + "a-c"; name != want {
				t.Errorf("result %d became %.20q", i, name)
			}
		}
		return nil
	}
	p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Queries: []*pup.Query{lookup}, Handle: handle})
	p.Answer("lookup", func(args []any) [][]any {
		return [][]any{{answerText(args[0].(int64)), []any{"a", nil, "c"}, true, 1.5}}
	})
	p.Apply(make([]puptest.Event, 50)...)
	if len(got) != 50 {
		t.Errorf("%d results", len(got))
	}
}

func answerText(n int64) string { return strings.Repeat(fmt.Sprint(n), int(n*n)) }

func TestQuery_missingArgumentFailsTheBatch(t *testing.T) {
	t.Parallel()
	table, _ := newCounter()
	load := table.Load("load")
	for _, test := range []struct {
		want string
		run  func(b *pup.Batch)
	}{
		{"query load: value 1 of 1, text[], is missing", func(b *pup.Batch) { load.Args(b); load.Run(b) }},
		{"query load: Run without Args", func(b *pup.Batch) { load.Run(b) }},
		{"query load: value 1 is text[], given is text", func(b *pup.Batch) { load.Args(b).Text("x"); load.Run(b) }},
		{"query load: Run without Args", func(b *pup.Batch) { load.Args(b).Texts(nil); load.Run(b); load.Run(b) }},
	} {
		p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: func(b *pup.Batch, _ *pup.Mutations) error {
			test.run(b)
			return nil
		}})
		if problem := p.ApplyError(puptest.Event{}); problem.Message != test.want {
			t.Errorf("%+v, want %s", problem, test.want)
		}
	}
}

func TestRows_wrongTypePanics(t *testing.T) {
	t.Parallel()
	table, count := newCounter()
	load := table.Load("load")
	p := newProjection(t, pup.Projection{
		Tables: []*pup.Table{table},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			load.Args(b).Texts([]string{"a", "b"})
			rows := load.Run(b)
			mustPanic(t, "pup: query load: there is no further value, or Next was not called", func() { rows.I64() })
			if rows.Next() {
				if index := rows.I64(); index != 1 {
					t.Errorf("index %d", index)
				}
				mustPanic(t, "pup: query load: the next value is i64, asked for is text", func() { rows.Text() })
			}
			count.Row(out, b.Event(0)).Text("b").I64(1)
			return nil
		},
	})
	p.Apply(puptest.Event{})
	p.Apply(puptest.Event{})
	p.WantRows("counts", "id=b n=2")
}

func TestStatement_showsAmongTheMutations(t *testing.T) {
	t.Parallel()
	table, _ := newCounter()
	fix := pup.NewStatement("fix", pup.SQL{Any: "update {counts} set n = $2 where id = $1"}, pup.TypeText, pup.TypeI64)
	p := newProjection(t, pup.Projection{
		Tables: []*pup.Table{table}, Statements: []*pup.Write{fix},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			fix.Row(out, b.Event(1)).Text("a b").I64(3)
			return nil
		},
	})
	p.Apply(puptest.Event{}, puptest.Event{})
	p.WantMutations(`1 fix $1="a b" $2=3`)
}
