package mysql_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// The application's handle, its table and its row: the row and the event are committed together. A second append to the
// same version of a stream is a conflict.
func Example() {
	ctx := context.Background()
	server, err := mariadbserver.Start()
	if err != nil {
		panic(err)
	}
	defer server.Stop()
	own, err := sql.Open("mysql", server.DSN("")) // your handle, of github.com/go-sql-driver/mysql
	if err != nil {
		panic(err)
	}
	defer own.Close()
	if _, err := own.ExecContext(ctx, "CREATE DATABASE shop; CREATE TABLE shop.orders (id bigint PRIMARY KEY)"); err != nil {
		panic(err)
	}
	db, err := mysql.Open(server.URL("shop"), mysql.Options{}) // your URL
	if err != nil {
		panic(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		panic(err)
	}
	placed := store.StreamAppend{
		Stream:   store.Stream{BoundedContext: "shop", AggregateType: "order", AggregateID: "42"},
		Expected: store.NoStream(),
		Events:   []store.Event{{Type: "placed", Payload: []byte(`{"total":"9.90"}`)}},
	}
	tx, err := own.BeginTx(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, "INSERT INTO shop.orders VALUES (42)"); err != nil {
		panic(err)
	}
	appended, err := db.AppendTx(ctx, tx, store.AppendOptions{}, placed)
	if err != nil {
		panic(err)
	}
	fmt.Println("position", appended[0].Position, tx.Commit())
	_, err = db.Append(ctx, store.AppendOptions{}, placed)
	fmt.Println(err)
	// Output:
	// position 1 <nil>
	// version conflict on stream shop/order/42: expected no stream, it is at version 1
}
