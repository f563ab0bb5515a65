package mysql

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pupwasm/pupwasm/store"
)

// MariaDB commits every statement that defines something by itself. So that nothing is left of a host that ends in the
// middle, whoever has a projection's lock writes into {schema}__unfinished what a database is about to become, and
// deletes that with what makes it count, in one transaction. Who has the lock next mends what is found there.

// work is what is done to the database of a version. The zero value: all that is in it is new, or is to go.
type work struct {
	// Names are the tables and views that are made again, of a version of which nothing is applied.
	Names []string `json:"names,omitempty"`
	// Columns and Views are those that a version gets beside what it has.
	Columns []store.NewColumn `json:"columns,omitempty"`
	Views   []string          `json:"views,omitempty"`
}

func (w *work) none() bool { return len(w.Names)+len(w.Columns)+len(w.Views) == 0 }

// begin notes that a database is about to be made, changed or dropped.
func (c *conn) begin(q *queries, projection, place string, w work) error {
	text := ""
	if !w.none() {
		encoded, err := json.Marshal(w)
		if err != nil {
			return err
		}
		text = string(encoded)
	}
	if _, err := c.exec(q.install.begin, place, projection, text); err != nil {
		return fmt.Errorf("noting what is done to database %s: %w", place, err)
	}
	return nil
}

// finish takes back what begin has noted.
func (c *conn) finish(q *queries, place string) error {
	if _, err := c.exec(q.install.finish, place); err != nil {
		return fmt.Errorf("noting what is done to database %s: %w", place, err)
	}
	return nil
}

// unfinished is what is noted of a database.
type unfinished struct {
	place string
	work  work
}

func (c *conn) unfinished(q *queries, projection string) (all []unfinished, err error) {
	err = c.query(q.install.unfinished, func(r *row) error {
		u := unfinished{place: r.text(0)}
		if text := r.bytes(1); len(text) > 0 {
			if err := json.Unmarshal(text, &u.work); err != nil {
				return err
			}
		}
		all = append(all, u)
		return nil
	}, projection)
	if err != nil {
		return nil, fmt.Errorf("looking for what is unfinished: %w", err)
	}
	return all, nil
}

// left returns the names of what a host has begun to make again at a place, and whether there was one.
func (c *conn) left(q *queries, projection, place string) (names []string, found bool, err error) {
	all, err := c.unfinished(q, projection)
	for _, u := range all {
		if u.place == place {
			names, found = u.work.Names, true
		}
	}
	return names, found, err
}

// mend completes or undoes what hosts that have ended left of a projection, on a connection with its lock. It leaves
// the note of a version whose tables are to be made again, which an install does.
func (s *Store) mend(c *conn, projection string) error {
	if err := s.settleExchange(c, projection); err != nil {
		return err
	}
	all, err := c.unfinished(&s.queries, projection)
	if err != nil || len(all) == 0 {
		return err
	}
	versions, err := c.versions(&s.queries.versions, projection)
	if err != nil {
		return err
	}
	for _, u := range all {
		switch another, err := c.isAnothers(s.home(), u.place); {
		case err != nil:
			return err
		case another: // who noted it has come too late
			if err := c.finish(&s.queries, u.place); err != nil {
				return err
			}
			continue
		}
		of := slices.IndexFunc(versions, func(v store.Installed) bool {
			return !v.Bare() && s.placed(&v.Projection).tables == u.place
		})
		if of < 0 {
			err = s.dropUnseen(c, versions.Live(), all, u.place)
			if err == nil && len(versions) == 0 {
				err = c.dropOwner(s.placed(&store.Projection{Name: projection}))
			}
		} else {
			err = s.undo(c, &versions[of], u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropUnseen drops a database of which dropping is noted. It may be that of a version that the live one has replaced, and
// that readers see still; not while the live one is being made again, since that comes after it.
func (s *Store) dropUnseen(c *conn, live *store.Installed, all []unfinished, place string) error {
	if live != nil && !slices.ContainsFunc(all, func(u unfinished) bool { return u.place == s.placed(&live.Projection).tables }) {
		if err := s.readerViews(c, &live.Projection).publish(live.Shown()); err != nil {
			return err
		}
	}
	return s.dropPlace(c, place)
}

// undo takes away what a version was about to get: tables, columns and views. Views that it had before are made as its
// stored declaration has them.
func (s *Store) undo(c *conn, was *store.Installed, u unfinished) error {
	i := &installer{store: s, conn: c, queries: &s.queries, projection: s.placed(&was.Projection)}
	if len(u.work.Names) > 0 {
		return i.clear(slices.DeleteFunc(u.work.Names, func(name string) bool { return slices.Contains(was.Shown(), name) }))
	}
	if err := i.dropColumns(was, u.work.Columns); err != nil {
		return err
	}
	for _, name := range u.work.Views {
		at := slices.IndexFunc(was.Views, func(v store.View) bool { return v.Name == name })
		if at < 0 {
			if err := i.dropView(name); err != nil {
				return err
			}
			continue
		}
		query, err := viewQuery(i.projection, &was.Views[at])
		if err == nil {
			err = i.makeView(&was.Views[at], query)
		}
		if err != nil {
			return err
		}
	}
	return c.finish(&s.queries, u.place)
}

// dropColumns drops those of some columns that tables have and the declaration has not.
func (i *installer) dropColumns(was *store.Installed, columns []store.NewColumn) error {
	found, err := i.shapes()
	if err != nil {
		return err
	}
	for t := range found {
		table, _ := was.Table(found[t].Name)
		var clauses []string
		for _, c := range columns {
			_, declared := table.Column(c.Column)
			exists := slices.ContainsFunc(found[t].Columns, func(is store.ColumnShape) bool { return is.Name == c.Column })
			if c.Table == table.Name && exists && !declared {
				clauses = append(clauses, "DROP COLUMN "+quote(c.Column))
			}
		}
		if len(clauses) > 0 {
			if err := i.alterTable(table, clauses); err != nil {
				return err
			}
		}
	}
	return nil
}
