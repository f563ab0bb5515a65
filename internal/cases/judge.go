package cases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// judge compares what came of a case with what it says.
func judge(c *Case, o *outcome) (failures []Failure) {
	fail := func(at settings.Place, format string, args ...any) {
		failures = append(failures, Failure{Where: at.String(), Text: fmt.Sprintf(format, args...)})
	}
	if c.Then == nil {
		fail(c.Place, "the case does not say what comes of the events: write \"then\", or run 'pupwasm test --update'")
		return failures
	}
	judgeFaults(c, o, fail)
	defer func() {
		if len(failures) > 0 {
			tellUnread(c, o, fail)
		}
	}()
	if when := c.Events[c.Given:]; len(when) > 0 && !slices.ContainsFunc(when, o.reads) {
		fail(c.Place, "the projection subscribes to no event of \"when\"")
	}
	for i := range c.Then.Tables {
		want := &c.Then.Tables[i]
		at := slices.IndexFunc(o.tables, func(t tableRows) bool { return t.table.Name == want.Name })
		if at < 0 {
			names := make([]string, len(o.tables))
			for i := range o.tables {
				names[i] = o.tables[i].table.Name
			}
			fail(want.Place, "the projection has no table or view %s: it has %s%s", settings.Show(want.Name),
				strings.Join(names, ", "), settings.DidYouMean(want.Name, names))
			continue
		}
		is := &o.tables[at]
		rows, wrong := wantedRows(want, &is.table)
		if wrong != nil {
			fail(wrong.Place, "%s", wrong.Reason)
			continue
		}
		d := &difference{table: &is.table, fail: fail, wanted: "want"}
		d.compare(want.Place, rows, is.rows)
	}
	judgeMessages(c, o, fail)
	return failures
}

// reads reports whether the projection subscribes to an event.
func (o *outcome) reads(e store.RecordedEvent) bool {
	return o.projection.Subscription.Matches(e.Stream, e.Type)
}

// tellUnread tells which event the projection does not read, since its name may be misspelt.
func tellUnread(c *Case, o *outcome, fail failFunc) {
	for i := range c.Events {
		if e := &c.Events[i]; !o.reads(*e) {
			list, n := c.numberOf(i)
			fail(c.Place, "the projection does not subscribe to event %d of %q: %s of %s/%s", n, list, e.Type, e.BoundedContext,
				e.AggregateType)
			return
		}
	}
}

// numberOf is the list of the case that an event is in, and its number there.
func (c *Case) numberOf(index int) (list string, n int) {
	if index < c.Given {
		return "given", index + 1
	}
	return "when", index + 1 - c.Given
}

type failFunc func(at settings.Place, format string, args ...any)

func judgeFaults(c *Case, o *outcome, fail failFunc) {
	left := slices.Clone(o.faults)
	for _, want := range c.Then.Faults {
		at := slices.IndexFunc(left, func(f fault) bool {
			return (want.Event == 0 || f.at == c.Given+want.Event-1) && f.at >= c.Given && strings.Contains(f.error, want.Error)
		})
		if at >= 0 {
			left = slices.Delete(left, at, at+1)
			continue
		}
		what := "no event fails"
		if len(left) > 0 {
			what = left[0].describe(c)
		}
		fail(want.Place, "want the fault %q%s, and %s", want.Error, ofEvent(want.Event), what)
	}
	if len(c.Then.Faults) == 0 || len(left) < len(o.faults) {
		for _, f := range left {
			fail(c.Place, "%s", f.describe(c))
		}
	}
}

func ofEvent(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" of event %d", n)
}

// describe names the event as the file of the case does.
func (f fault) describe(c *Case) string {
	if f.at < 0 {
		return "the projection fails: " + f.error
	}
	list, n := c.numberOf(f.at)
	return fmt.Sprintf("event %d of %q (%s) fails: %s", n, list, c.Events[f.at].Type, f.error)
}

// cell is what a column of a row must be.
type cell struct {
	any    bool // it is not compared
	member *settings.Member
	value  store.Value // without a member
}

func (c *cell) same(of store.Type, is store.Value) bool {
	switch {
	case c.any:
		return true
	case c.member == nil:
		return Same(c.value, is)
	}
	same, _ := matches(of, c.member, is) // an error was told before
	return same
}

func (c *cell) text() string {
	if c.member == nil {
		return rowtext.Of(c.value)
	}
	switch {
	case c.member.Kind == settings.Empty:
		return "NULL"
	case c.member.Kind == settings.Scalar && c.member.Text != "" && c.member.Text != "NULL":
		return c.member.Text
	}
	return string(appendJSON(nil, c.member))
}

// wantedRow is a row that must be there.
type wantedRow struct {
	place settings.Place
	cells []cell // by column
}

// wantedRows are the rows that a case says, by the columns of the table.
func wantedRows(want *Table, table *store.Table) (rows []wantedRow, wrong *settings.Fault) {
	for _, row := range want.Rows {
		w := wantedRow{place: row.Place, cells: make([]cell, len(table.Columns))}
		for i := range w.cells {
			w.cells[i].any = true
		}
		for i := range row.Members {
			m := &row.Members[i]
			at := slices.IndexFunc(table.Columns, func(c store.Column) bool { return c.Name == m.Name })
			if at < 0 {
				names := make([]string, len(table.Columns))
				for i := range table.Columns {
					names[i] = table.Columns[i].Name
				}
				return nil, m.Place.Fault("%s has no column %s: it has %s%s", table.Name, settings.Show(m.Name),
					strings.Join(names, ", "), settings.DidYouMean(m.Name, names))
			}
			if _, err := matches(table.Columns[at].Type, m, store.Null()); err != nil {
				return nil, m.Value.Fault("column %s: %s", m.Name, err)
			}
			w.cells[at] = cell{member: m}
		}
		for i := range table.Columns {
			if name := table.Columns[i].Name; slices.Contains(table.Key, name) && w.cells[i].any {
				return nil, row.Place.Fault("the row has no %s: the key tells rows of %s apart", name, table.Name)
			}
		}
		rows = append(rows, w)
	}
	return rows, nil
}

// differ compares what came of a variation with what came of the first run.
func differ(c *Case, first, other *outcome, v variation) (failures []Failure) {
	fail := func(at settings.Place, format string, args ...any) {
		failures = append(failures, Failure{Where: at.String(), Text: fmt.Sprintf(format, args...)})
	}
	events := func(faults []fault) (at []int) {
		for _, f := range faults {
			at = append(at, f.at)
		}
		return at
	}
	if !slices.Equal(events(first.faults), events(other.faults)) {
		describe := func(o *outcome) string {
			if len(o.faults) == 0 {
				return "no event fails"
			}
			return o.faults[0].describe(c)
		}
		fail(c.Place, "%s, otherwise %s", describe(other), describe(first))
	}
	for i := range first.tables {
		is := &other.tables[i]
		var rows []wantedRow
		for _, values := range first.tables[i].rows {
			w := wantedRow{place: c.Place}
			for _, value := range values {
				w.cells = append(w.cells, cell{value: value})
			}
			rows = append(rows, w)
		}
		d := &difference{table: &is.table, fail: fail, wanted: "otherwise"}
		d.compare(c.Place, rows, is.rows)
	}
	switch was, is, differs := first.sent.Differs(&other.sent); {
	case !differs:
	case is == "":
		fail(c.Place, "there is no message %s", was)
	case was == "":
		fail(c.Place, "there is a message besides: %s", is)
	default:
		fail(c.Place, "message %s, otherwise %s", is, was)
	}
	if len(failures) > 0 {
		head := Failure{Where: c.Place.String(), Text: fmt.Sprintf("what comes of the events depends on more than them. %s:",
			strings.ToUpper(v.String()[:1])+v.String()[1:])}
		failures = append([]Failure{head}, failures...)
	}
	return failures
}
