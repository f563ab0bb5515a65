package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// outlook says what Install would make of a projection: its fate, or the error.
func (f *fixture) outlook(p *store.Projection) (*store.Outlook, error) {
	f.Helper()
	f.must(p.Validate())
	versions, err := f.store.Installed(f.ctx, p.Name)
	f.must(err)
	status, err := f.store.Status(f.ctx, p.Name)
	f.must(err)
	return versions.Outlook(p, f.dialect, status)
}

// foreseen is an outlook as text: the fate, the changes, and what is made in place.
func (f *fixture) foreseen(p *store.Projection) (text string, fault error) {
	f.Helper()
	o, fault := f.outlook(p)
	if fault != nil {
		return "refused", fault
	}
	parts := []string{string(o.Fate)}
	for _, c := range o.Changes {
		parts = append(parts, c.String())
	}
	for _, column := range o.Columns {
		parts = append(parts, column.String())
	}
	for _, index := range o.Indexes {
		parts = append(parts, index.String())
	}
	return strings.Join(parts, ", "), nil
}

// versionOutlook asks what Install would do, and then installs: it must do that, and refuse in the same words.
func versionOutlook(f *fixture) {
	more := func(version int) *store.Projection {
		p := sums(version)
		p.Tables[0].Columns = append(p.Tables[0].Columns, store.Column{Name: "note", Type: typed("text")})
		return p
	}
	indexed := sums(2)
	indexed.Tables[0].Indexes = [][]string{{"name"}, {"n"}, {"n"}}
	added, between := sums(2), sums(2)
	added.Tables[0].Columns = append(added.Tables[0].Columns, later("late", "text"))
	between.Tables[0].Columns = slices.Insert(between.Tables[0].Columns, 1, later("early", "text"))
	textless := sums(9)
	text := textless.Writes[2].SQL[store.DialectAny]
	textless.Writes[2].SQL = store.Statement{store.DialectPostgres: text, store.DialectSQLite: text}
	delete(textless.Writes[2].SQL, f.dialect)
	apply := func() { f.runningOn(f.store, sums(2), "worker-2").apply(put("a", 1)) }
	for i, step := range []struct {
		projection *store.Projection
		want       string
		after      func()
	}{
		{projection: sums(1), want: "new"},
		{projection: sums(1), want: "kept"},
		{projection: more(1), want: `renewed, table "total": column "note" is new`},
		{projection: sums(2), want: `renewed, table "total": column "note" is no longer declared`, after: apply},
		{projection: more(2), want: "refused"},
		{projection: sums(1), want: "refused"},
		{projection: textless, want: "refused"},
		{projection: indexed, want: "kept, total (n)"},
		{projection: indexed, want: "kept"},
		{projection: added, want: "kept, total (late)"},
		{projection: added, want: "kept"},
		{projection: sums(2), want: "kept"},
		{projection: between, want: "refused"},
		{projection: more(3), want: `candidate, table "total": column "late" is no longer declared, table "total": column "note" is new`},
		{projection: more(3), want: "kept"},
		{projection: sums(3), want: `renewed, table "total": column "late" is no longer declared`},
		{projection: sums(4), want: `candidate, table "total": column "late" is no longer declared`, after: func() {
			f.Query(f, "DROP TABLE "+f.storedAs("sums", 4, "total"))
		}},
		{projection: &store.Projection{Name: "sums", Version: 5}, want: "refused"},
	} {
		got, fault := f.foreseen(step.projection)
		if got != step.want {
			f.Errorf("step %d: the outlook is %q, want %q: %v", i, got, step.want, fault)
		}
		_, err := f.store.Install(f.ctx, step.projection, 1)
		if fmt.Sprint(err) != fmt.Sprint(fault) {
			f.Errorf("step %d: the outlook says %v, Install says %v", i, fault, err)
		}
		if err == nil {
			f.build(step.projection)
		}
		if step.after != nil {
			step.after()
		}
	}
	if none, err := f.store.Installed(f.ctx, "others"); err != nil || len(none) > 0 {
		f.Errorf("of a projection that is not known: %v, %v", none, err)
	}
	installed, err := f.store.Installed(f.ctx, "sums")
	f.must(err)
	if len(installed) != 3 || len(installed[0].Found) != 1 || len(installed[0].Found[0].Columns) != 3 ||
		!installed[0].Live || len(installed[2].Found) != 0 {
		f.Errorf("installed are %+v", installed)
	}
}
