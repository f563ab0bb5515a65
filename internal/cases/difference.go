package cases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// shownMax is how many differences of a table are told.
const shownMax = 10

// difference tells how rows of a table differ from those that must be there.
type difference struct {
	table  *store.Table
	fail   failFunc
	wanted string // the word before what must be there
	shown  int
	hidden int
}

// compare pairs the rows, by the key where the table has one, and tells what differs. at is for rows that must not be
// there.
func (d *difference) compare(at settings.Place, want []wantedRow, is [][]store.Value) {
	paired := make([]bool, len(is))
	var left []wantedRow
	for _, w := range want { // those that are as they must be
		if n := d.find(w, is, paired, d.same); n >= 0 {
			paired[n] = true
			continue
		}
		left = append(left, w)
	}
	for _, w := range left {
		n := -1
		if len(d.table.Key) > 0 {
			n = d.find(w, is, paired, d.sameKey)
		}
		if n < 0 {
			d.tell(w.place, "%s: there is no row %s", d.table.Name, d.wantedText(w))
			continue
		}
		paired[n] = true
		d.columns(w, is[n])
	}
	for n, row := range is {
		if !paired[n] {
			d.tell(at, "%s: there is a row besides: %s", d.table.Name, d.text(row))
		}
	}
	if d.hidden > 0 {
		d.fail(at, "%s: and %d more differences", d.table.Name, d.hidden)
	}
}

func (d *difference) tell(at settings.Place, format string, args ...any) {
	if d.shown++; d.shown > shownMax {
		d.hidden++
		return
	}
	d.fail(at, format, args...)
}

// find returns the first row that is not paired yet and fits, or -1.
func (d *difference) find(w wantedRow, is [][]store.Value, paired []bool, fits func(wantedRow, []store.Value) bool) int {
	for n, row := range is {
		if !paired[n] && fits(w, row) {
			return n
		}
	}
	return -1
}

func (d *difference) same(w wantedRow, row []store.Value) bool {
	for i := range w.cells {
		if !w.cells[i].same(d.table.Columns[i].Type, row[i]) {
			return false
		}
	}
	return true
}

func (d *difference) sameKey(w wantedRow, row []store.Value) bool {
	for i := range w.cells {
		if d.isKey(i) && !w.cells[i].same(d.table.Columns[i].Type, row[i]) {
			return false
		}
	}
	return true
}

func (d *difference) isKey(column int) bool {
	return slices.Contains(d.table.Key, d.table.Columns[column].Name)
}

// columns tells which columns of a row differ.
func (d *difference) columns(w wantedRow, row []store.Value) {
	var key, parts []string
	for i := range w.cells {
		name := d.table.Columns[i].Name
		if d.isKey(i) {
			key = append(key, name+"="+rowtext.Of(row[i]))
		} else if !w.cells[i].same(d.table.Columns[i].Type, row[i]) {
			parts = append(parts, fmt.Sprintf("%s is %s, %s %s", name, rowtext.Of(row[i]), d.wanted, w.cells[i].text()))
		}
	}
	d.tell(w.place, "%s %s: %s", d.table.Name, strings.Join(key, " "), strings.Join(parts, "; "))
}

func (d *difference) wantedText(w wantedRow) string {
	var parts []string
	for i := range w.cells {
		if !w.cells[i].any {
			parts = append(parts, d.table.Columns[i].Name+"="+w.cells[i].text())
		}
	}
	return strings.Join(parts, " ")
}

func (d *difference) text(row []store.Value) string {
	parts := make([]string, len(row))
	for i := range row {
		parts[i] = d.table.Columns[i].Name + "=" + rowtext.Of(row[i])
	}
	return strings.Join(parts, " ")
}
