package mysql

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// home says which store a projection is one of, on a server. Names of databases do not: that of database a with schema b
// and that of database a__b with the default schema have the same for the same projection. So each of them has the store
// in its comment.
type home struct{ database, schema string }

func (s *Store) home() home { return home{s.database, s.options.Schema} }

// String is the comment of a database.
func (h home) String() string { return fmt.Sprintf("database %s, schema %s", h.database, h.schema) }

// What comments of databases begin with.
const (
	madeBy = "made by pupwasm for " // a host has made it, and drops it
	usedBy = "used by pupwasm for " // a host has found it with nothing in it
)

// taken is whose a database is, by its comment.
type taken struct {
	name    string
	home    string // the store; "" for none
	made    bool   // by a host
	comment string
}

// takenBy reads the comment of a database.
func takenBy(name, comment string) taken {
	home, made := strings.CutPrefix(comment, madeBy)
	if !made {
		var used bool
		if home, used = strings.CutPrefix(comment, usedBy); !used {
			home = ""
		}
	}
	return taken{name: name, home: home, made: made, comment: comment}
}

// of reports whether a database is that of a store. Letters count as the server has them in the names of databases: where
// a and A are two, they have no database in common.
func (t taken) of(h home) bool { return strings.EqualFold(t.home, h.String()) }

func (t taken) another(h home) bool { return t.home != "" && !t.of(h) }

// taken reads whose a database is, and reports whether there is one.
func (c *conn) taken(name string) (t taken, exists bool, err error) {
	err = c.query("SELECT schema_comment FROM information_schema.schemata WHERE schema_name = $1", func(r *row) error {
		t, exists = takenBy(name, r.text(0)), true
		return nil
	}, name)
	if err != nil {
		return t, false, fmt.Errorf("looking at database %s: %w", name, err)
	}
	return t, exists, nil
}

// isAnothers reports whether a database is that of another store.
func (c *conn) isAnothers(h home, name string) (bool, error) {
	t, _, err := c.taken(name)
	return t.another(h), err
}

// claim makes a database for a projection, or takes one that is nobody's, and refuses that of another store.
func (c *conn) claim(p placed, name string) error {
	t, exists, err := c.taken(name)
	if err == nil && !exists {
		_, err = c.exec("CREATE DATABASE IF NOT EXISTS " + quote(name) +
			" CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin COMMENT " + comment(madeBy+p.home.String()))
		if err != nil {
			return err
		}
		t, _, err = c.taken(name) // somebody else may have been faster
	}
	if err != nil {
		return err
	}
	if t.another(p.home) {
		return p.anothers(t)
	}
	if t.comment != "" { // that of an administrator stays
		return nil
	}
	_, err = c.exec("ALTER DATABASE " + quote(name) + " COMMENT " + comment(usedBy+p.home.String()))
	if isNumber(err, erDatabaseDenied) { // the host may use it, and no more
		return nil
	}
	return err
}

func comment(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// anothers is the error of a projection whose database another store has.
func (p placed) anothers(t taken) error {
	return &store.CatalogueError{Item: fmt.Sprintf("projection %q", p.Name), Reason: fmt.Sprintf(
		"database %s is that of the store of %s, and this one is that of %s: choose another name of the projection, or another schema",
		t.name, t.home, p.home)}
}

// checkMine refuses a database of the version or of its readers that is another store's.
func (c *conn) checkMine(p placed) error {
	if p.Bare() {
		return nil
	}
	for _, name := range []string{p.readers, p.tables} {
		t, _, err := c.taken(name)
		if err == nil && t.another(p.home) {
			err = p.anothers(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var versionForm = regexp.MustCompile(`^[0-9]+(b[0-9]+)?$`)

// checkSiblings refuses a place where another store has a version of its own projection: the role has rights on all of
// them.
func (c *conn) checkSiblings(p placed) error {
	var found *taken
	err := c.query(`SELECT schema_name, schema_comment FROM information_schema.schemata
		WHERE LEFT(schema_name, CHAR_LENGTH($1)) = $1 ORDER BY 1`, func(r *row) error {
		t := takenBy(r.text(0), r.text(1))
		version := strings.TrimPrefix(t.name[len(p.readers):], "__v")
		if found == nil && t.another(p.home) && (version == "" || versionForm.MatchString(version)) {
			found = &t
		}
		return nil
	}, p.readers)
	if err != nil {
		return fmt.Errorf("looking at database %s: %w", p.readers, err)
	}
	if found != nil {
		return p.anothers(*found)
	}
	return nil
}

// foreign finds what others have in the database of a version beside tables and views. Triggers go with tables that are
// the version's. What the host has no right to see it does not find.
func (c *conn) foreign(database string) (what string, err error) {
	err = c.query(`SELECT LOWER(routine_type), routine_name FROM information_schema.routines
			WHERE routine_schema = $1 AND LEFT(routine_name, CHAR_LENGTH($2)) <> $2
		UNION ALL SELECT 'event', event_name FROM information_schema.events WHERE event_schema = $1
		UNION ALL SELECT 'trigger', trigger_name FROM information_schema.triggers WHERE trigger_schema = $1
		ORDER BY 1, 2 LIMIT 1`, func(r *row) error {
		what = cmp.Or(what, r.text(0)+" "+r.text(1))
		return nil
	}, database, procedurePrefix)
	if err != nil {
		return "", fmt.Errorf("looking at database %s: %w", database, err)
	}
	return what, nil
}
