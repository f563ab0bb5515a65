package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// publish gives readers views of this version's tables and views under the plain name. They belong to the owner of
// the tables, with whose rights they read: readers need no right on the version's schema. before are the names that
// had views. A view that is right already is left alone, since its replacement would wait for readers.
func (i *installer) publish(ctx context.Context, before []string) error {
	shown := i.projection.Shown()
	for _, name := range before {
		if !slices.Contains(shown, name) {
			if err := i.dropReader(ctx, name); err != nil {
				return err
			}
		}
	}
	states, err := i.readers(ctx, shown)
	if err != nil {
		return err
	}
	for _, s := range states {
		switch {
		case s.exists && (!s.view || !slices.Contains(before, s.name)):
			return store.NotTheProjections(i.projection.Name, fmt.Sprintf("%q in schema %s", s.name, i.projection.readers))
		case s.current:
			continue
		}
		if err := i.makeReader(ctx, s.name); err != nil {
			return err
		}
	}
	return nil
}

// readerState is what is there under the name of a view for readers.
type readerState struct {
	name    string
	exists  bool
	view    bool
	current bool // it shows this version, with all columns
}

// readers looks at the views of readers. A view is current when it reads the table of the version, and has its
// columns.
func (i *installer) readers(ctx context.Context, names []string) ([]readerState, error) {
	columns := func(relation string) string {
		return `ARRAY (SELECT format('%s %s %s %s', a.attname, a.atttypid, a.atttypmod, a.attcollation)
			FROM pg_attribute a WHERE a.attrelid = ` + relation + ` AND a.attnum > 0 AND NOT a.attisdropped
			ORDER BY a.attnum)`
	}
	rows, err := i.tx.Query(ctx, `SELECT s.name, v.oid IS NOT NULL, coalesce(v.relkind = 'v', false),
			coalesce(v.relkind = 'v' AND EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d
				ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
				AND d.refobjid = t.oid WHERE r.ev_class = v.oid)
			AND `+columns("v.oid")+` = `+columns("t.oid")+`, false)
		FROM unnest($3::text[]) WITH ORDINALITY AS s (name, n)
		LEFT JOIN pg_class v ON v.relnamespace = to_regnamespace($1) AND v.relname = s.name
		LEFT JOIN pg_class t ON t.relnamespace = to_regnamespace($2) AND t.relname = s.name ORDER BY s.n`,
		quote(i.projection.readers), quote(i.projection.schema), names)
	if err != nil {
		return nil, fmt.Errorf("looking at the views of readers: %w", err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s readerState, err error) {
		err = row.Scan(&s.name, &s.exists, &s.view, &s.current)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the views of readers: %w", err)
	}
	return states, nil
}

// makeReader makes or replaces a view of readers. Where its columns differ, it is dropped first. Readers keep their
// rights.
func (i *installer) makeReader(ctx context.Context, name string) error {
	err := i.replaceView(ctx, quote(i.projection.readers, name), "SELECT * FROM "+i.projection.table(name),
		func() error { return i.dropReader(ctx, name) },
		func(err error) error {
			item := fmt.Sprintf("table %q", name)
			var pg *pgconn.PgError
			if errors.As(err, &pg) && pg.Code == stateInsufficientRights {
				return &store.CatalogueError{Item: item, Reason: fmt.Sprintf("this role may not create the view by which "+
					"it is read: have GRANT CREATE, USAGE ON SCHEMA %s TO … run for it", quote(i.projection.readers))}
			}
			return refusedFor(item, fmt.Errorf("creating view %s: %w", name, err))
		})
	if err != nil {
		return err
	}
	return i.grantAgain(ctx, name)
}

// dropReader drops a view of readers, if there is one, and keeps their rights for the next that is made.
func (i *installer) dropReader(ctx context.Context, name string) error {
	if _, err := i.tx.Exec(ctx, i.queries.keepGrants, i.projection.Name, quote(i.projection.readers),
		[]string{name}); err != nil {
		return fmt.Errorf("keeping the rights of readers: %w", err)
	}
	err := i.asOwner(ctx, func() error {
		return dropRelations(ctx, i.tx, "VIEW", i.projection.readers, []string{name})
	})
	return builtUponView(name, err)
}

// grantAgain gives readers the rights that they had on a view that was dropped. A role that is gone, also one whose
// name another has by now, gets none, and a right on a column ends with the column.
func (i *installer) grantAgain(ctx context.Context, name string) error {
	rows, err := i.tx.Query(ctx, i.queries.takeGrants, i.projection.Name, name, quote(i.projection.readers))
	if err != nil {
		return fmt.Errorf("looking for the rights of readers: %w", err)
	}
	var grants []string
	var grantee, privilege, column string
	var grantable bool
	_, err = pgx.ForEachRow(rows, []any{&grantee, &privilege, &column, &grantable}, func() error {
		to, of, option := "PUBLIC", "", ""
		if grantee != "" {
			to = quote(grantee)
		}
		if column != "" {
			of = " (" + quote(column) + ")"
		}
		if grantable {
			option = " WITH GRANT OPTION"
		}
		grants = append(grants, fmt.Sprintf("GRANT %s%s ON %s TO %s%s", privilege, of,
			quote(i.projection.readers, name), to, option))
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for the rights of readers: %w", err)
	}
	for _, grant := range grants {
		if err := i.asOwner(ctx, func() error { return i.runAlone(ctx, grant, nil) }); err != nil {
			return fmt.Errorf("giving readers their rights again: %w", err)
		}
	}
	return nil
}
