package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// The kinds of what has a name in a database.
const (
	kindTable = "table"
	kindView  = "view"
)

// object is a table or a view of a database.
type object struct{ name, kind string }

// objects returns the tables and views of a database, views first, or those of a name.
func (c *conn) objects(database string, only ...string) (all []object, err error) {
	err = c.query(`SELECT table_name, IF(table_type = 'VIEW', 'view', 'table') FROM information_schema.tables
		WHERE table_schema = $1 AND ($2 OR table_name IN $3) ORDER BY 2 DESC, 1`, func(r *row) error {
		all = append(all, object{r.text(0), r.text(1)})
		return nil
	}, database, len(only) == 0, only)
	if err != nil {
		return nil, fmt.Errorf("looking at database %s: %w", database, err)
	}
	return all, nil
}

// kind returns what has a name in a database, or "".
func (c *conn) kind(database, name string) (string, error) {
	found, err := c.objects(database, name)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].kind, nil
}

// drop drops a table or a view, if there is one of that name. It leaves alone what has become something else.
func (c *conn) drop(kind, database, name string) error {
	found, err := c.kind(database, name)
	if err != nil || found != kind {
		return err
	}
	if _, err := c.exec(fmt.Sprintf("DROP %s %s.%s", kind, quote(database), quote(name))); err != nil {
		return fmt.Errorf("dropping %s %s: %w", kind, name, err)
	}
	return nil
}

// nameMax bounds the name of a database.
const nameMax = 64

// checkNames refuses databases whose names are too long.
func (s *Store) checkNames(of placed) error {
	for _, name := range []string{of.tables, of.scratch(), of.readers} {
		if len(name) > nameMax {
			return &store.CatalogueError{Item: fmt.Sprintf("projection %q", of.Name), Reason: fmt.Sprintf(
				"needs a database %q, whose name has %d characters, and MariaDB takes %d: use a shorter name of the projection "+
					"or of database %s", name, len(name), nameMax, s.database)}
		}
	}
	return nil
}

// checkPlace refuses a database for the tables of a version that is somebody else's, since something is in it.
func (i *installer) checkPlace() error {
	if i.projection.Bare() {
		return nil
	}
	if err := i.conn.checkSiblings(i.projection); err != nil {
		return err
	}
	found, err := i.conn.objects(i.projection.tables)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return i.notMine(found[0], i.projection.tables)
	}
	what, err := i.conn.foreign(i.projection.tables)
	if err != nil || what == "" {
		return err
	}
	return i.foreigner(what)
}

func (i *installer) foreigner(what string) error {
	return store.NotTheProjections(i.projection.Name, withArticle(what)+" in database "+i.projection.tables)
}

// withArticle puts an article before a kind and a name.
func withArticle(what string) string {
	if strings.HasPrefix(what, "event ") {
		return "an " + what
	}
	return "a " + what
}

func (i *installer) notMine(found object, database string) error {
	return store.NotTheProjections(i.projection.Name, fmt.Sprintf("a %s %s in database %s", found.kind, found.name,
		database))
}

// makeDatabase makes a database, unless it is there and no other store's.
func (i *installer) makeDatabase(name string) error {
	err := i.conn.claim(i.projection, name)
	if fault := (*store.CatalogueError)(nil); errors.As(err, &fault) {
		return err
	}
	return i.refused(fmt.Sprintf("projection %q", i.projection.Name), "creating database "+name, err)
}

// refused is the error of a statement that defines something: of the item when the server refuses it for good, and else
// of what was done.
func (i *installer) refused(item, doing string, err error) error {
	switch reason := refusal(err); {
	case err == nil:
		return nil
	case isNumber(err, erDatabaseDenied, erTableDenied, erPrivilegeMissing, erRoutineDenied):
		return &store.CatalogueError{Item: item, Reason: fmt.Sprintf("the database refuses the rights: %s: have the SQL of "+
			"GrantSQL(%q) run for this user", reason, i.projection.Name)}
	case reason != "":
		return &store.CatalogueError{Item: item, Reason: reason}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// lockBriefly waits until nobody uses a table, and keeps it from being used until UNLOCK TABLES. It waits for others as
// long as a statement that changes the views of readers does, since who comes later waits behind it.
func (i *installer) lockBriefly(table string) error {
	bounded := conn{ctx: context.WithoutCancel(i.conn.ctx), session: i.conn.session} // it is over by itself
	_, err := bounded.exec(fmt.Sprintf("SET STATEMENT max_statement_time = %g FOR LOCK TABLES %s WRITE",
		readersWaitMax.Seconds(), i.projection.table(table)))
	if isNumber(err, erStatementTimeout, erLockWaitTimeout) {
		return fmt.Errorf("%w: %w: a transaction has a lock on table %s of projection %s", store.ErrTransient, store.ErrLocked,
			table, i.projection.Name)
	}
	return err
}

// unlock ends what lockBriefly has begun.
func (i *installer) unlock() error {
	_, err := i.conn.session.exec(context.WithoutCancel(i.conn.ctx), "UNLOCK TABLES")
	i.conn.broken = i.conn.broken || err != nil
	return err
}
