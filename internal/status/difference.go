package status

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/store"
)

// Difference is the report of how the rows of two versions differ, also as JSON.
type Difference struct {
	Projection string            `json:"projection"`
	Versions   [2]int            `json:"versions"`
	Builds     [2]int            `json:"builds,omitzero"` // of the versions, where one is no first build
	Position   int64             `json:"position"`
	Parked     [2]int            `json:"parked"` // keys, whose rows lack what waits
	Differ     bool              `json:"differ"`
	Tables     []TableDifference `json:"tables"`
	First      *FirstEvent       `json:"first_event,omitempty"` // after which rows differ
}

// Text is a version as people read it.
func (d *Difference) Text(side int) string {
	return store.ProjectionID{Version: d.Versions[side], Build: d.Builds[side]}.VersionText()
}

// TableDifference is how the rows of a table differ.
type TableDifference struct {
	Table      string           `json:"table"`
	In         []int            `json:"in"` // the versions that have it
	Uncompared string           `json:"uncompared,omitempty"`
	Rows       [2]int64         `json:"rows"`
	Only       [2]int64         `json:"only"` // rows that are in one version alone
	Changed    int64            `json:"changed"`
	Columns    map[string]int64 `json:"columns,omitempty"`       // in how many of the changed rows they differ
	Others     [2][]string      `json:"other_columns,omitempty"` // that only one version has, or with another type
	Examples   []RowDifference  `json:"examples,omitempty"`

	Texts [2]string `json:"-"` // of the versions
	Names []string  `json:"-"` // of the columns in Columns, in order
}

// RowDifference is a row that differs.
type RowDifference struct {
	Key    json.RawMessage    `json:"key,omitempty"`
	Values [2]json.RawMessage `json:"values"` // null where the version does not have the row

	KeyText string `json:"-"` // the key as a person reads it
	Changes string `json:"-"` // what differs
}

// ReportDifference reports a comparison, with at most so many examples of each table and kind.
func ReportDifference(c *store.Comparison, examples int) *Difference {
	report := &Difference{
		Projection: c.Projection, Versions: [2]int{c.Versions[0].Version, c.Versions[1].Version},
		Builds: [2]int{c.Versions[0].Build, c.Versions[1].Build}, Position: c.Position, Parked: c.Parked, Differ: c.Differ(),
		Tables: make([]TableDifference, len(c.Tables)),
	}
	for i := range c.Tables {
		report.Tables[i] = reportTableDifference(&c.Tables[i], c.Versions, examples)
	}
	return report
}

func reportTableDifference(t *store.TableComparison, versions [2]store.ProjectionID, examples int) TableDifference {
	report := TableDifference{
		Table: t.Table, Uncompared: t.Uncompared, Rows: t.Rows, Only: t.Only, Changed: t.Changed, Others: t.Others,
		Columns: map[string]int64{}, Texts: [2]string{versions[0].VersionText(), versions[1].VersionText()},
	}
	for side, has := range t.In {
		if has {
			report.In = append(report.In, versions[side].Version)
		}
	}
	for i, n := range t.ChangedIn {
		if n > 0 {
			report.Columns[t.Columns[i].Name] = n
			report.Names = append(report.Names, t.Columns[i].Name)
		}
	}
	kinds := map[[2]bool]int{}
	for i := range t.Examples {
		if kind := t.Examples[i].In; kinds[kind] >= examples {
			continue
		}
		kinds[t.Examples[i].In]++
		report.Examples = append(report.Examples, reportRowDifference(t, &t.Examples[i], versions))
	}
	return report
}

func reportRowDifference(t *store.TableComparison, row *store.RowComparison, versions [2]store.ProjectionID) RowDifference {
	report := RowDifference{KeyText: valuesText(t.Key, row.Key)}
	if len(t.Key) > 0 {
		report.Key = rowtext.AppendJSON(nil, t.Key, row.Key)
	}
	var only [2]string
	for side, has := range row.In {
		report.Values[side] = json.RawMessage("null")
		if has {
			report.Values[side] = rowtext.AppendJSON(nil, t.Columns, row.Values[side])
			only[side] = fmt.Sprintf("only in version %s: %s", versions[side].VersionText(), valuesText(t.Columns, row.Values[side]))
		}
	}
	if !row.In[0] || !row.In[1] {
		report.Changes = only[0] + only[1]
		return report
	}
	var changes []string
	for i, c := range t.Columns {
		before, after := rowtext.Of(row.Values[0][i]), rowtext.Of(row.Values[1][i])
		if before != after {
			changes = append(changes, fmt.Sprintf("%s %s → %s", c.Name, before, after))
		}
	}
	report.Changes = strings.Join(changes, ", ")
	return report
}

func valuesText(columns []store.Column, values []store.Value) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c.Name + "=" + rowtext.Of(values[i])
	}
	return strings.Join(parts, " ")
}

// FirstEvent is the first event after which rows differ, or why it is not known.
type FirstEvent struct {
	Position int64  `json:"position,omitempty"`
	EventID  string `json:"event_id,omitempty"`
	Stream   string `json:"stream,omitempty"`
	Type     string `json:"event_type,omitempty"`
	Unknown  string `json:"unknown,omitempty"` // why it is not known
	Keys     int    `json:"keys,omitempty"`    // whose events were tried; all keys where it is left out
	All      bool   `json:"all"`               // no row of another key differs
}
