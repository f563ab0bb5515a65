package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// handler returns the function for the database: it is given the database's own transaction.
func handler(db any) store.Handler {
	switch db.(type) {
	case *sqlite.Store:
		return sqlite.Handler(onSQLite)
	case *mysql.Store:
		return mysql.Handler(onMariaDB)
	}
	return postgres.Handler(onPostgres)
}

func onPostgres(ctx context.Context, tx pgx.Tx, events []store.RecordedEvent) error {
	for _, e := range events {
		_, err := tx.Exec(ctx, `INSERT INTO spent VALUES ($1::json ->> 'user_id', 1, ($1::json ->> 'cents')::bigint)
			ON CONFLICT (user_id) DO UPDATE SET orders = spent.orders + 1, cents = spent.cents + excluded.cents`, e.Payload)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	return nil
}

func onMariaDB(ctx context.Context, tx *sql.Tx, events []store.RecordedEvent) error {
	for _, e := range events {
		payload := string(e.Payload)
		_, err := tx.ExecContext(ctx, `INSERT INTO spent VALUES (JSON_VALUE(?, '$.user_id'), 1, JSON_VALUE(?, '$.cents'))
			ON DUPLICATE KEY UPDATE orders = orders + 1, cents = cents + VALUES(cents)`, payload, payload)
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	return nil
}

func onSQLite(_ context.Context, conn *sqlite3.Conn, events []store.RecordedEvent) error {
	add, _, err := conn.Prepare(`INSERT INTO spent VALUES (?1 ->> 'user_id', 1, ?1 ->> 'cents')
		ON CONFLICT (user_id) DO UPDATE SET orders = spent.orders + 1, cents = spent.cents + excluded.cents`)
	if err != nil {
		return err
	}
	defer add.Close()
	for _, e := range events {
		if err := add.BindText(1, string(e.Payload)); err != nil {
			return err
		}
		if err := add.Exec(); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if err := add.Reset(); err != nil {
			return err
		}
	}
	return nil
}
