package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// createSchema makes the schema of the projection's tables when there is none: that takes a right which a role that uses one that is
// there may lack.
func (i *installer) createSchema(ctx context.Context) error {
	var exists bool
	if err := i.tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", quote(i.projection.schema)).Scan(&exists); err != nil {
		return fmt.Errorf("looking for schema %s: %w", i.projection.schema, err)
	}
	if exists {
		return nil
	}
	_, err := i.tx.Exec(ctx, "CREATE SCHEMA "+quote(i.projection.schema))
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == stateInsufficientRights {
		return &store.CatalogueError{Item: fmt.Sprintf("projection %q", i.projection.Name), Reason: fmt.Sprintf(
			"needs schema %[1]s, which this role may not create: have CREATE SCHEMA %[2]s AUTHORIZATION … run for it", i.projection.schema, quote(i.projection.schema))}
	}
	if err != nil {
		return fmt.Errorf("creating schema %s: %w", i.projection.schema, err)
	}
	return nil
}

// createTables makes all tables, and returns their shapes as they are stored.
func (i *installer) createTables(ctx context.Context) (string, error) {
	if err := i.createSchema(ctx); err != nil {
		return "", err
	}
	for t := range i.projection.Tables {
		if err := i.createTable(ctx, &i.projection.Tables[t]); err != nil {
			return "", err
		}
	}
	found, err := i.shapes(ctx)
	if err != nil {
		return "", err
	}
	if err := i.checkTypes(found); err != nil {
		return "", err
	}
	if err := i.projection.CheckTables(found); err != nil {
		return "", err
	}
	if err := i.createIndexes(ctx); err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return string(text), err
}

func (i *installer) createTable(ctx context.Context, table *store.Table) error {
	if text, ok := table.DDL.For(store.DialectPostgres); ok {
		expanded, err := i.projection.ExpandTables(text, i.projection.table)
		if err != nil {
			return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: err.Error()}
		}
		return i.runDDL(ctx, table, expanded)
	}
	_, err := i.tx.Exec(ctx, createTable(i.projection, table))
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == stateInsufficientRights:
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: fmt.Sprintf(
			"this role may not create it: have GRANT CREATE, USAGE ON SCHEMA %s TO … run for it", quote(i.projection.schema))}
	case errors.As(err, &pg) && !transientState(pg.Code):
		return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: describe(pg)}
	case err != nil:
		return fmt.Errorf("creating table %s: %w", table.Name, err)
	}
	return nil
}

// checkTypes finds a column that a module's own DDL makes otherwise than declared.
func (i *installer) checkTypes(found []store.TableShape) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		at := slices.IndexFunc(found, func(shape store.TableShape) bool { return shape.Name == table.Name })
		if at < 0 {
			return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: "its ddl does not make it"}
		}
		for _, c := range table.Columns {
			is := slices.IndexFunc(found[at].Columns, func(shape store.ColumnShape) bool { return shape.Name == c.Name })
			reason, oid := "", strconv.FormatUint(uint64(oidOf(c.Type)), 10)
			if is < 0 {
				reason = fmt.Sprintf("column %q is declared, its ddl lacks it", c.Name)
			} else if base, _, _ := strings.Cut(found[at].Columns[is].Type, " "); base != oid {
				reason = fmt.Sprintf("column %q is declared %s, which is %s in PostgreSQL, in its ddl it is %s", c.Name, c.Type, sqlType(c.Type), found[at].Columns[is].Shown)
			}
			if reason != "" {
				return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: reason}
			}
		}
	}
	return nil
}

// createIndexes makes the declared indexes that are missing. One is left out when another index, such as the key's, serves the same
// searches. Commits wait while a large table gets one, which is why the limit on the time of a statement does not hold for it.
func (i *installer) createIndexes(ctx context.Context) error {
	found, err := i.shapes(ctx)
	if err != nil {
		return err
	}
	unlimited := false
	for t := range found {
		table, _ := i.projection.Table(found[t].Name)
		for n, columns := range table.Indexes {
			if found[t].Indexed(columns) {
				continue
			}
			if !unlimited {
				if _, err := i.tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
					return fmt.Errorf("lifting the limit on statements: %w", err)
				}
				unlimited = true
			}
			if err := i.createIndex(ctx, table, n+1, columns); err != nil {
				return err
			}
			found[t].Indexes = append(found[t].Indexes, store.IndexShape{Columns: columns})
		}
	}
	if unlimited {
		return i.pin(ctx)
	}
	return nil
}

// createIndex makes an index under the first free name from a number on.
func (i *installer) createIndex(ctx context.Context, table *store.Table, number int, columns []string) error {
	for ; ; number++ {
		name := fmt.Sprintf("%s_index_%d", table.Name, number)
		var taken bool
		err := i.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = $2)",
			quote(i.projection.schema), name).Scan(&taken)
		if err != nil {
			return fmt.Errorf("looking for index %s: %w", name, err)
		}
		if taken {
			continue
		}
		_, err = i.tx.Exec(ctx, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quote(name), i.projection.table(table.Name), quoteList(columns)))
		var pg *pgconn.PgError
		if errors.As(err, &pg) && !transientState(pg.Code) {
			return &store.CatalogueError{Item: fmt.Sprintf("table %q", table.Name), Reason: describe(pg)}
		}
		if err != nil {
			return fmt.Errorf("creating index %s: %w", name, err)
		}
		return nil
	}
}

// shapes returns the projection's tables as they are in the database, without those that are not there. What is compared are names and
// numbers as the catalogue has them: the text that functions make of them depends on settings.
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
	_, err = pgx.ForEachRow(rows, []any{&table, &c.Name, &c.Type, &c.NotNull, &c.Default, &c.Generated, &c.Shown}, func() error {
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
				shapes[t].Indexes = append(shapes[t].Indexes, store.IndexShape{Unique: index.Unique, Columns: slices.Clone(index.Columns)})
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
			a.atttypid::text || CASE WHEN a.atttypmod >= 0 THEN '(' || a.atttypmod || ')' ELSE '' END || coalesce(' ' || o.collname::text, ''),
			a.attnotnull, CASE WHEN a.atthasdef AND a.attgenerated = '' OR a.attidentity <> '' THEN 'yes' ELSE '' END, a.attgenerated <> '',
			format_type(a.atttypid, a.atttypmod) || coalesce(' COLLATE ' || o.collname::text, '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_collation o ON o.oid = a.attcollation AND o.collname <> 'default'
		WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p') ORDER BY 1, a.attnum`

	shapeIndexes = `SELECT c.relname::text, i.indisunique AND i.indimmediate, ARRAY(
			SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) AS n
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n] ORDER BY n)
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
		JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
		WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')
		AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL`
)

// checkDefaults finds a default that somebody has changed. The text of an expression may differ between versions of the server: what is
// compared is its value.
func (i *installer) checkDefaults(ctx context.Context) error {
	for t := range i.projection.Tables {
		table := &i.projection.Tables[t]
		if table.DDL != nil {
			continue
		}
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
	err = i.tx.QueryRow(ctx, `SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
		WHERE d.adrelid = to_regclass($1) AND a.attname = $2`, i.projection.table(table.Name), c.Name).Scan(&expression)
	if err != nil {
		return false, fmt.Errorf("looking at the default of column %s: %w", c.Name, err)
	}
	err = i.tentatively(ctx, func() error {
		// As text, since 1.50 and 1.5 are kept apart.
		query := fmt.Sprintf("SELECT ((%[1]s)::%[3]s)::text = ((%[2]s)::%[3]s)::text", expression, literal(c), sqlType(c.Type))
		return i.tx.QueryRow(ctx, query).Scan(&same)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !transientState(pg.Code) {
		return false, nil
	}
	return same, err
}
