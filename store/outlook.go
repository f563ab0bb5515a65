package store

import (
	"errors"
	"fmt"
	"strings"
)

// Outlook is what Install would make of a projection, as far as that can be told without doing it.
type Outlook struct {
	Fate Fate
	// Live is the version that readers see, or nil where none is installed.
	Live *Installed
	// Changes say how the projection differs from Live, for [FateCandidate] and [FateRenewed].
	Changes []Change
	// Columns and Indexes are those that would be made in place, for [FateKept].
	Columns []NewColumn
	Indexes []MissingIndex
}

// Fate is what becomes of a projection that is installed.
type Fate string

// The fates.
const (
	FateNew       Fate = "new"       // nothing of its name is installed
	FateRenewed   Fate = "renewed"   // it replaces a version of which nothing is applied
	FateKept      Fate = "kept"      // its version is installed and fits
	FateCandidate Fate = "candidate" // its version is built beside the live one
)

// MissingIndex is an index that is declared and not there.
type MissingIndex struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// String names the table and the columns.
func (i MissingIndex) String() string { return i.Table + " (" + strings.Join(i.Columns, ", ") + ")" }

// IndexBuild is an index whose building begins or is done.
type IndexBuild struct {
	MissingIndex
	Done bool
}

// Outlook says what Install would make of a valid projection beside the versions, which [Projections.Installed] has
// returned. status is that of the projection. What only the database can tell stays open: names that are taken, rights,
// and whether it accepts the statements.
//
// # Errors
//
// [*CatalogueError] when Install would refuse it; one when what is stored cannot be read.
func (v Versioned) Outlook(p *Projection, dialect Dialect, status []ProjectionStatus) (*Outlook, error) {
	if err := p.checkTexts(dialect); err != nil {
		return nil, err
	}
	o := &Outlook{Fate: FateNew, Live: v.Live()}
	was := v.OfVersion(p.Version)
	switch {
	case o.Live == nil:
		return o, nil
	case was != nil:
		fault := was.Fits(p, dialect)
		var unlike *CatalogueError
		switch {
		case fault == nil:
			o.Fate, o.Indexes = FateKept, p.MissingIndexes(was.Found)
			_, o.Columns = was.Join(p)
			return o, nil
		case !errors.As(fault, &unlike) || !unused(status, was.ID()):
			return nil, fault
		}
		o.Fate = FateRenewed
	case p.Version > o.Live.Version && len(v) == 1 && unused(status, o.Live.ID()):
		o.Fate = FateRenewed
	default:
		if err := v.Beside(p, dialect); err != nil {
			return nil, err
		}
		o.Fate = FateCandidate
	}
	changes, err := p.Changes(dialect, o.Live.Declared)
	o.Changes = changes
	return o, err
}

// unused reports that no event is applied of a version.
func unused(status []ProjectionStatus, of ProjectionID) bool {
	for i := range status {
		if status[i].ProjectionID != of {
			continue
		}
		for _, s := range status[i].Segments {
			if s.Position > 0 {
				return false
			}
		}
	}
	return true
}

// MissingIndexes returns the declared indexes that the tables in the database lack. Tables that are not there are left
// out.
func (p *Projection) MissingIndexes(found []TableShape) (indexes []MissingIndex) {
	for t := range p.Tables {
		table := &p.Tables[t]
		is := shapeOf(found, table.Name)
		if is == nil {
			continue
		}
		for _, n := range is.Missing(table.Indexes) {
			indexes = append(indexes, MissingIndex{Table: table.Name, Columns: table.Indexes[n]})
		}
	}
	return indexes
}

// NoText returns the error for SQL of a projection that has no text for a dialect.
func NoText(item string, dialect Dialect) error {
	return &CatalogueError{Item: item, Reason: fmt.Sprintf("has no sql for %s", dialect)}
}

// checkTexts checks that all SQL has a text for a dialect.
func (p *Projection) checkTexts(dialect Dialect) error {
	var fault error
	check := func(sql Statement, format string, names ...any) {
		if _, has := sql.For(dialect); sql != nil && !has && fault == nil {
			fault = NoText(fmt.Sprintf(format, names...), dialect)
		}
	}
	for t := range p.Tables {
		table := &p.Tables[t]
		for _, c := range table.Columns {
			check(c.Generated, "column %q of table %q", c.Name, table.Name)
		}
		for _, c := range table.Checks {
			check(c.SQL, "check %q of table %q", c.Name, table.Name)
		}
	}
	for _, w := range p.Writes {
		check(w.SQL, "write %q", w.Name)
	}
	for _, q := range p.Queries {
		check(q.SQL, "query %q", q.Name)
	}
	for _, view := range p.Views {
		check(view.SQL, "view %q", view.Name)
	}
	return fault
}
