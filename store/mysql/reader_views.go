package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// readerViews are the views by which a projection is read, on a connection that has the projection's lock. They read
// with the rights of the host that has made them: readers need no right on the database of a version. What was granted
// on a view, on a column of it, or on their database MariaDB keeps by the name, so that it holds for the next of that
// name too.
type readerViews struct {
	conn *conn
	of   placed // the version that they are to show
}

// A view of the version that is about to become the live one waits under one name until all are exchanged at once; one
// of the version before has the other from then on. No table or view of a declaration has two underscores in its name.
const (
	nextSuffix = "__next"
	lastSuffix = "__last"
)

const (
	// readersWaitMax bounds how long a statement waits for a transaction that has read a view, since readers that come
	// later wait behind it. It does not end one that has the views: RENAME TABLE writes a file for each of them.
	readersWaitMax = 50 * time.Millisecond
	// exchangeTries is how often an exchange of several views is tried, during which commits of the live version wait.
	exchangeTries = 200
	exchangePause = time.Millisecond
)

// readerView is what has a name in the database for readers.
type readerView struct {
	view  bool
	query string // as MariaDB writes it
	shows string // the version that it shows, as [store.ProjectionID.VersionText]; "" for what is no view of a host
}

// publish gives readers views of the version that is installed. before are the names that had views.
func (i *installer) publish(before []string) error {
	return i.store.readerViews(i.conn, i.projection.Projection).publish(before)
}

// publish gives readers views of this version's tables and views under the plain name. before are the names that had
// views. A view that is right already is left alone, since its replacement would wait for readers.
func (v *readerViews) publish(before []string) error {
	shown := v.of.Shown()
	if len(shown) == 0 && len(before) == 0 { // the database is somebody else's then, if there is one
		return nil
	}
	if err := v.makeDatabase(); err != nil {
		return err
	}
	found, err := v.find()
	if err != nil {
		return err
	}
	for name, view := range found {
		if !slices.Contains(shown, name) && (view.shows != "" || view.view && slices.Contains(before, name)) {
			if err := v.drop(name); err != nil {
				return err
			}
		}
	}
	wanted, err := v.wanted()
	if err != nil {
		return err
	}
	for _, name := range shown {
		if err := v.checkFree(found, name, before); err != nil {
			return err
		}
		if found[name].query == wanted[name] {
			continue
		}
		if err := v.make(name, name); err != nil {
			return err
		}
	}
	if len(shown) == 0 {
		return v.dropDatabase()
	}
	return nil
}

// checkFree refuses a name in the database for readers that somebody else has.
func (v *readerViews) checkFree(found map[string]readerView, name string, before []string) error {
	switch view, exists := found[name]; {
	case !exists, view.shows != "", view.view && slices.Contains(before, name):
		return nil
	case view.view:
		return store.NotTheProjections(v.of.Name, "a view "+name+" in database "+v.of.readers)
	}
	return store.NotTheProjections(v.of.Name, "a table "+name+" in database "+v.of.readers)
}

// checkPlace refuses a database for readers that was made by somebody else and has something in it.
func (v *readerViews) checkPlace() error {
	if len(v.of.Shown()) == 0 {
		return nil
	}
	found, err := v.find()
	if err != nil || len(found) == 0 {
		return err
	}
	t, _, err := v.conn.taken(v.of.readers)
	if err != nil || t.of(v.of.home) {
		return err
	}
	return store.NotTheProjections(v.of.Name, "something in database "+v.of.readers)
}

// checkNames refuses what somebody else has in the database for readers under a name of this version. before are the names
// that had views.
func (v *readerViews) checkNames(before []string) error {
	found, err := v.find()
	if err != nil {
		return err
	}
	for _, name := range v.of.Shown() {
		if err := v.checkFree(found, name, before); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the views of a version that is about to become the live one, which has the names before.
func (v *readerViews) prepare(before []string) error {
	if err := v.makeDatabase(); err != nil {
		return err
	}
	found, err := v.find()
	if err != nil {
		return err
	}
	for _, name := range v.of.Shown() {
		if err := v.checkFree(found, name, before); err != nil {
			return err
		}
		if err := v.make(name+nextSuffix, name); err != nil {
			return err
		}
	}
	return nil
}

// exchange puts the views that were prepared in the place of those that readers have, in one statement: no reader sees
// views of two versions.
//
// Of several views it takes the locks at once or not at all, again and again, and waits for none. A statement that has
// one of them would wait for another that this one has, which waits for the first. MariaDB has the reader give way then,
// and go on with the definition that it has read already of the first, beside a new one of the second.
func (v *readerViews) exchange(before []string) error {
	found, err := v.find()
	if err != nil {
		return err
	}
	var renames []string
	rename := func(from, to string) { renames = append(renames, v.name(from)+" TO "+v.name(to)) }
	shown := v.of.Shown()
	names := slices.Concat(before, shown)
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if _, exists := found[name]; exists {
			rename(name, name+lastSuffix)
		}
		if slices.Contains(shown, name) {
			rename(name+nextSuffix, name)
		}
	}
	statement := "RENAME TABLE " + strings.Join(renames, ", ")
	if len(names) == 1 {
		return v.briefly(statement)
	}
	for range exchangeTries {
		if err = v.within(0, statement); !errors.Is(err, store.ErrLocked) {
			return err
		}
		if _, err := v.conn.exec(fmt.Sprintf("DO SLEEP(%g)", exchangePause.Seconds())); err != nil {
			return fmt.Errorf("waiting for readers: %w", err)
		}
	}
	return err
}

// clear drops what an exchange has left, or has not used.
func (v *readerViews) clear() error {
	found, err := v.find()
	if err != nil {
		return err
	}
	for name, view := range found {
		if view.shows == "" || !strings.HasSuffix(name, nextSuffix) && !strings.HasSuffix(name, lastSuffix) {
			continue
		}
		if err := v.drop(name); err != nil {
			return err
		}
	}
	return nil
}

func (v *readerViews) name(name string) string { return quote(v.of.readers) + "." + quote(name) }

// find returns what is in the database for readers, by name: nothing where the database is another store's.
func (v *readerViews) find() (map[string]readerView, error) {
	found := map[string]readerView{}
	if another, err := v.conn.isAnothers(v.of.home, v.of.readers); err != nil || another {
		return found, err
	}
	objects, err := v.conn.objects(v.of.readers)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		found[o.name] = readerView{view: o.kind == kindView}
	}
	shows := regexp.MustCompile(" from `" + regexp.QuoteMeta(v.of.readers) + "__v([0-9]+(?:b[0-9]+)?)`\\.`([^`]+)`$")
	err = v.conn.query(`SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = $1`,
		func(r *row) error {
			view := readerView{view: true, query: r.text(1)}
			match := shows.FindStringSubmatch(view.query)
			if match != nil && match[2] == strings.TrimSuffix(strings.TrimSuffix(r.text(0), nextSuffix), lastSuffix) {
				view.shows = match[1]
			}
			found[r.text(0)] = view
			return nil
		}, v.of.readers)
	if err != nil {
		return nil, fmt.Errorf("looking at the views of readers: %w", err)
	}
	return found, nil
}

// wanted returns the views that show this version, as MariaDB writes them.
func (v *readerViews) wanted() (map[string]string, error) {
	objects, err := v.conn.objects(v.of.tables)
	if err != nil {
		return nil, err
	}
	relations := map[string]string{} // with the name that it gives their columns
	for _, o := range objects {
		relations[o.name] = v.of.table(o.name)
		if o.kind == kindView {
			relations[o.name] = quote(o.name)
		}
	}
	lists := map[string][]string{}
	err = v.conn.query(`SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1
		ORDER BY table_name, ordinal_position`, func(r *row) error {
		table, column := r.text(0), quote(r.text(1))
		lists[table] = append(lists[table], relations[table]+"."+column+" AS "+column)
		return nil
	}, v.of.tables)
	if err != nil {
		return nil, fmt.Errorf("looking at the tables: %w", err)
	}
	wanted := map[string]string{}
	for name, list := range lists {
		wanted[name] = "select " + strings.Join(list, ",") + " from " + v.of.table(name)
	}
	return wanted, nil
}

// make makes a view of a table or view of the version, or replaces the one that is there.
func (v *readerViews) make(name, of string) error {
	err := v.briefly("CREATE OR REPLACE SQL SECURITY DEFINER VIEW " + v.name(name) + " AS SELECT * FROM " + v.of.table(of))
	if reason := refusal(err); reason != "" {
		return &store.CatalogueError{
			Item: fmt.Sprintf("table %q", of), Reason: "the view by which it is read cannot be made: " + reason,
		}
	}
	return err
}

func (v *readerViews) drop(name string) error {
	if err := v.briefly("DROP VIEW IF EXISTS " + v.name(name)); err != nil {
		return fmt.Errorf("dropping view %s: %w", name, err)
	}
	return nil
}

// briefly runs a statement that waits for readers.
func (v *readerViews) briefly(statement string) error { return v.within(readersWaitMax, statement) }

// within runs a statement that waits that long for readers. It is over within that time also when the host does not wait
// for it any longer: what it relies on may not be so later.
func (v *readerViews) within(wait time.Duration, statement string) error {
	bound := "lock_wait_timeout = 0"
	if wait > 0 {
		bound = fmt.Sprintf("max_statement_time = %g", wait.Seconds())
	}
	bounded := conn{ctx: context.WithoutCancel(v.conn.ctx), session: v.conn.session}
	_, err := bounded.exec("SET STATEMENT " + bound + " FOR " + statement)
	if isNumber(err, erStatementTimeout, erLockWaitTimeout) {
		return fmt.Errorf("%w: %w: a transaction of a reader has a view of projection %s", store.ErrTransient,
			store.ErrLocked, v.of.Name)
	}
	return err
}

// makeDatabase makes the database for readers, where the version has something to show and it is not there.
func (v *readerViews) makeDatabase() error {
	if len(v.of.Shown()) == 0 {
		return nil
	}
	if err := v.conn.claim(v.of, v.of.readers); err != nil {
		return fmt.Errorf("making database %s: %w", v.of.readers, err)
	}
	return nil
}

// dropDatabase drops the database for readers, if a host has made it and nothing is in it. What was granted on it stays.
// One that was there before is nobody's again.
func (v *readerViews) dropDatabase() error {
	t, _, err := v.conn.taken(v.of.readers)
	if err != nil || !t.of(v.of.home) {
		return err
	}
	empty := false
	err = v.conn.query(`SELECT NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = $1)
		AND NOT EXISTS (SELECT 1 FROM information_schema.routines WHERE routine_schema = $1)
		AND NOT EXISTS (SELECT 1 FROM information_schema.events WHERE event_schema = $1)`, func(r *row) error {
		empty = r.bool(0)
		return nil
	}, v.of.readers)
	switch {
	case err != nil || !empty:
	case t.made:
		_, err = v.conn.exec("DROP DATABASE IF EXISTS " + quote(v.of.readers))
	default:
		_, err = v.conn.exec("ALTER DATABASE " + quote(v.of.readers) + " COMMENT ''")
	}
	if err != nil {
		return fmt.Errorf("dropping database %s: %w", v.of.readers, err)
	}
	return nil
}
