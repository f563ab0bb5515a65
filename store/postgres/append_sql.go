package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pupwasm/pupwasm/store"
)

// AppendSQLTx is [Store.AppendTx] for a transaction of database/sql, which must be one of pgx's driver
// (github.com/jackc/pgx/v5/stdlib). It asks for the connection's client_encoding first, which is a round trip
// more.
func (s *Store) AppendSQLTx(
	ctx context.Context, tx *sql.Tx, options store.AppendOptions, appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	if err := checkSQLEncoding(ctx, tx); err != nil {
		return nil, err
	}
	return s.appendTo(ctx, sqlTx{tx}, options, appends, count)
}

// checkSQLEncoding asks for the encoding of a connection, which database/sql does not tell.
func checkSQLEncoding(ctx context.Context, tx *sql.Tx) error {
	var encoding string
	if err := tx.QueryRowContext(ctx, "SHOW client_encoding").Scan(&encoding); err != nil {
		return translate(err)
	}
	return checkClientEncoding(encoding)
}

// sqlTx is a transaction of database/sql as a querier.
type sqlTx struct{ tx *sql.Tx }

func (t sqlTx) query(ctx context.Context, text string, args ...any) (resultRows, error) {
	rows, err := t.tx.QueryContext(ctx, text, args...) //nolint:rowserrcheck // the reader of the rows asks for it
	if err != nil {
		return nil, fmt.Errorf("by database/sql: %w", err)
	}
	return sqlRows{rows}, nil
}

// sqlRows closes as the driver's own rows do: what Close reports, Err has reported.
type sqlRows struct{ *sql.Rows }

// Close ends the query.
func (r sqlRows) Close() { _ = r.Rows.Close() }
