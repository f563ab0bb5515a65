package storetest

import (
	"database/sql"
	"testing"
)

// QueryText returns all values of a query as text, NULL as "NULL".
func QueryText(t testing.TB, db *sql.DB, text string) [][]string {
	t.Helper()
	return CollectText(t, func() (*sql.Rows, error) { return db.QueryContext(t.Context(), text) })
}

// CollectText is QueryText by another way to ask.
func CollectText(t testing.TB, ask func() (*sql.Rows, error)) [][]string {
	t.Helper()
	rows, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
			if !v.Valid {
				row[i] = "NULL"
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Execute runs a statement.
func Execute(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
}
