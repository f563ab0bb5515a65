package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// createSchemas makes the schemas of the version and of its readers where there are none: that takes a right which
// a role that uses those that are there may lack.
func (i *installer) createSchemas(ctx context.Context) error {
	rows, err := i.tx.Query(ctx, `SELECT s.name FROM unnest($1::text[]) WITH ORDINALITY AS s (name, n)
		WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = s.name) ORDER BY s.n`,
		[]string{i.projection.readers, i.projection.schema})
	if err != nil {
		return fmt.Errorf("looking for the schemas: %w", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("looking for the schemas: %w", err)
	}
	for _, schema := range missing {
		err := i.makeSchema(ctx, schema, "")
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == stateInsufficientRights {
			return i.mayNotCreate(missing)
		}
		if err != nil {
			return fmt.Errorf("creating schema %s: %w", schema, err)
		}
	}
	return nil
}

// mayNotCreate is the error of a role that may not make the schemas that it needs.
func (i *installer) mayNotCreate(missing []string) error {
	statements := make([]string, len(missing))
	for n, schema := range missing {
		statements[n] = "CREATE SCHEMA " + quote(schema) + " AUTHORIZATION …"
	}
	return &store.CatalogueError{Item: fmt.Sprintf("projection %q", i.projection.Name), Reason: fmt.Sprintf(
		"needs %s %s, which this role may not create: have %s run for it",
		map[bool]string{false: "schema", true: "schemas"}[len(missing) > 1], strings.Join(missing, " and "),
		strings.Join(statements, " and "))}
}

// createTables makes all tables, and returns their shapes as they are stored.
func (i *installer) createTables(ctx context.Context) (string, error) {
	if i.projection.Bare() {
		return "[]", nil
	}
	if err := i.createSchemas(ctx); err != nil {
		return "", err
	}
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		if err := i.checkExpressions(ctx, table, i.catalogue.expressions[t]); err != nil {
			return "", err
		}
		if err := i.define(ctx, table, createTable(i.projection, table, i.catalogue.expressions[t])); err != nil {
			return "", err
		}
	}
	found, err := i.shapes(ctx)
	if err != nil {
		return "", err
	}
	if err := i.projection.CheckTables(found); err != nil {
		return "", err
	}
	if i.live { // what nobody reads is built without them: see indexes.go
		if err := i.createIndexes(ctx); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(found)
	return string(text), err
}

// define runs a statement of ours that makes a table.
func (i *installer) define(ctx context.Context, table *store.Table, sql string) error {
	err := i.asOwner(ctx, func() error { return i.runAlone(ctx, sql, nil) })
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == stateInsufficientRights:
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(
			"this role may not create it: have GRANT CREATE, USAGE ON SCHEMA %s TO … run for it",
			quote(i.projection.schema))}
	case errors.As(err, &pg) && !mayPass(pg.Code):
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: describe(pg)}
	case err != nil:
		return fmt.Errorf("creating table %s: %w", table.Name, err)
	}
	return nil
}

// createIndexes makes the declared indexes of tables that are new and that readers see. One is left out when another
// index, such as the key's, serves the same searches. Commits would wait while a large table gets one: see indexes.go.
func (i *installer) createIndexes(ctx context.Context) error {
	found, err := i.shapes(ctx)
	if err != nil {
		return err
	}
	for t := range found {
		table, _ := i.projection.Table(found[t].Name)
		for _, n := range found[t].Missing(table.Indexes) {
			if err := i.createIndex(ctx, table, n+1, table.Indexes[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// createIndex makes an index under the first free name from a number on.
func (i *installer) createIndex(ctx context.Context, table *store.Table, number int, columns []string) error {
	for ; ; number++ {
		name := fmt.Sprintf("%s_index_%d", table.Name, number)
		taken, err := i.exists(ctx, i.projection.schema, name)
		if err != nil {
			return err
		}
		if taken {
			continue
		}
		err = i.asOwner(ctx, func() error {
			return i.runAlone(ctx, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quote(name),
				i.projection.table(table.Name), quoteList(columns)), nil)
		})
		if err != nil {
			return refusedFor(fmt.Sprintf("table %q", table.Name), fmt.Errorf("creating index %s: %w", name, err))
		}
		return nil
	}
}

// shapes returns the projection's tables as they are in the database, without those that are not there. What is
// compared are names and numbers as the catalogue has them: the text that functions make of them depends on
// settings.
func (i *installer) shapes(ctx context.Context) ([]store.TableShape, error) {
	names := make([]string, len(i.projection.Tables))
	for t := range i.projection.Tables {
		names[t] = i.projection.Tables[t].Name
	}
	shapes := []store.TableShape{}
	rows, err := i.tx.Query(ctx, shapeColumns, quote(i.projection.schema), names)
	if err != nil {
		return nil, fmt.Errorf("looking at the tables: %w", err)
	}
	var table string
	var c store.ColumnShape
	_, err = pgx.ForEachRow(rows, []any{&table, &c.Name, &c.Type, &c.NotNull, &c.Default, &c.Generated, &c.Shown},
		func() error {
			if len(shapes) == 0 || shapes[len(shapes)-1].Name != table {
				shapes = append(shapes, store.TableShape{Name: table})
			}
			last := &shapes[len(shapes)-1]
			last.Columns = append(last.Columns, c)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("looking at the tables: %w", err)
	}
	rows, err = i.tx.Query(ctx, shapeIndexes, quote(i.projection.schema), names)
	if err != nil {
		return nil, fmt.Errorf("looking at the indexes: %w", err)
	}
	var index store.IndexShape
	_, err = pgx.ForEachRow(rows, []any{&table, &index.Unique, &index.Columns}, func() error {
		for t := range shapes {
			if shapes[t].Name == table {
				shapes[t].Indexes = append(shapes[t].Indexes,
					store.IndexShape{Unique: index.Unique, Columns: slices.Clone(index.Columns)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the indexes: %w", err)
	}
	return shapes, nil
}

const (
	shapeColumns = `SELECT c.relname::text, a.attname::text,
			a.atttypid::text || CASE WHEN a.atttypmod >= 0 THEN '(' || a.atttypmod || ')'
			ELSE '' END || coalesce(' ' || o.collname::text, ''),
			a.attnotnull, CASE WHEN a.atthasdef AND a.attgenerated = '' OR a.attidentity <> '' THEN 'yes'
			ELSE '' END, a.attgenerated <> '',
			format_type(a.atttypid, a.atttypmod) || coalesce(' COLLATE ' || o.collname::text, '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_collation o ON o.oid = a.attcollation AND o.collname <> 'default'
		WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')
		ORDER BY 1, a.attnum`

	shapeIndexes = `SELECT c.relname::text, i.indisunique AND i.indimmediate, ARRAY(
			SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS n
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] ORDER BY n)
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
		JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
		WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')
		AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`
)

// checkDefaults finds a default that somebody has changed. The text of an expression may differ between versions
// of the server: what is compared is its value.
func (i *installer) checkDefaults(ctx context.Context) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		for _, c := range table.Columns {
			if len(c.Default) == 0 {
				continue
			}
			if same, err := i.hasDefault(ctx, table, c); err != nil || !same {
				return cmp.Or(err, store.TableChanged(i.projection.Name, table.Name,
					fmt.Sprintf("column %q was changed since it was installed: its default is another", c.Name)))
			}
		}
	}
	return nil
}

func (i *installer) hasDefault(ctx context.Context, table *store.Table, c store.Column) (same bool, err error) {
	var expression string
	err = i.tx.QueryRow(ctx, `SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a
		ON a.attrelid = d.adrelid AND a.attnum = d.adnum
		WHERE d.adrelid = to_regclass($1) AND a.attname = $2`, i.projection.table(table.Name), c.Name).Scan(&expression)
	if err != nil {
		return false, fmt.Errorf("looking at the default of column %s: %w", c.Name, err)
	}
	err = i.tentatively(ctx, func() error {
		// As text, since 1.50 and 1.5 are kept apart.
		query := fmt.Sprintf("SELECT ((%[1]s)::%[3]s)::text = ((%[2]s)::%[3]s)::text", expression, literal(c),
			sqlType(c.Type))
		return i.tx.QueryRow(ctx, query).Scan(&same)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !mayPass(pg.Code) {
		return false, nil
	}
	return same, err
}
