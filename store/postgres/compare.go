package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// Compare compares the rows of two versions. See [store.Versions].
func (s backend) Compare(
	ctx context.Context, a, b store.ProjectionID, examples int, met func(),
) (comparison *store.Comparison, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		versions, err := readVersions(ctx, tx, &s.queries, a.Name)
		if err != nil {
			return err
		}
		var sides [2]*store.Installed
		var layouts [2]*store.Layout
		for side, id := range [2]store.ProjectionID{a, b} {
			if sides[side], err = versions.Known(id); err != nil {
				return err
			}
			if layouts[side], err = (layoutOf{tx: tx, queries: &s.queries, projection: id}).look(ctx); err != nil {
				return err
			}
		}
		if comparison, err = store.NewComparison(&sides[0].Projection, &sides[1].Projection, layouts); err != nil {
			return err
		}
		met()
		if err := tx.QueryRow(ctx, s.queries.countParked, a.Name, a.Number(), b.Number()).Scan(&comparison.Parked[0],
			&comparison.Parked[1]); err != nil {
			return fmt.Errorf("counting parked keys: %w", err)
		}
		for t := range comparison.Tables {
			if err := s.compareTable(ctx, tx, sides, &comparison.Tables[t], examples); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, translate(err)
	}
	return comparison, nil
}

// uncomparable is the error of a table that cannot be compared.
func uncomparable(table string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == stateUndefinedTable || pg.Code == stateInvalidSchema) {
		return &store.InputError{Field: "table " + table, Reason: "is not there in one of the versions: " + pg.Message}
	}
	return fmt.Errorf("comparing table %s: %w", table, err)
}

// compareTable compares the rows of a table that both versions have.
func (s backend) compareTable(
	ctx context.Context, tx pgx.Tx, sides [2]*store.Installed, t *store.TableComparison, examples int,
) error {
	if t.Uncompared != "" || t.In != [2]bool{true, true} {
		return nil
	}
	sql := store.CompareSQL{
		Quote: quote, Integer: "BIGINT", Shown: resultExpression,
		Differs: func(_ store.Type, a, b string) string { return a + " IS DISTINCT FROM " + b },
	}
	for side := range sides {
		sql.Tables[side] = s.placed(&sides[side].Projection).table(t.Table)
	}
	for _, count := range sql.Counts(t) {
		into := make([]any, len(count.Into))
		for i := range count.Into {
			into[i] = count.Into[i]
		}
		if err := tx.QueryRow(ctx, count.SQL).Scan(into...); err != nil {
			return uncomparable(t.Table, err)
		}
	}
	if !t.Differ() || examples < 1 {
		return nil
	}
	for _, query := range sql.Examples(t, examples) {
		rows := store.Rows{}
		rows.Reset(len(query.Results))
		found, err := tx.Query(ctx, query.SQL, pgx.QueryResultFormats{pgx.BinaryFormatCode})
		if err != nil {
			return fmt.Errorf("comparing table %s: %w", t.Table, err)
		}
		for found.Next() {
			if err := readRow(store.TableRows(t.Table), query.Results, found.RawValues(), &rows); err != nil {
				found.Close()
				return err
			}
		}
		if err := found.Err(); err != nil {
			return fmt.Errorf("comparing table %s: %w", t.Table, err)
		}
		query.Add(t, &rows)
	}
	return nil
}
