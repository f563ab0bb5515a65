package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// txSession is a transaction of a caller, of database/sql. It takes one statement at a time.
type txSession struct{ tx *sql.Tx }

func (s txSession) query(ctx context.Context, text string, each func(r *row) error) (err error) {
	rows, err := s.tx.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	r := row{values: make([]driver.Value, len(columns))}
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range targets {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i := range values {
			r.values[i] = values[i]
		}
		if err := each(&r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s txSession) exec(ctx context.Context, text string) (int64, error) {
	result, err := s.tx.ExecContext(ctx, text)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
