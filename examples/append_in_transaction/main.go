// Command append_in_transaction commits a row of the application and an event together, or neither.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pupwasm/pupwasm/examples/internal/shop"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// errSoldOut is why the application changes its mind.
var errSoldOut = errors.New("sold out")

// buy takes one article off the stock and appends the order's event, in one transaction.
type buy func(ctx context.Context, order, article string) error

func main() { shop.Main(run) }

func run(ctx context.Context, url string) error {
	db, err := shop.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	own, err := shop.OpenSQL(url)
	if err != nil {
		return err
	}
	defer own.Close()
	if _, err := own.ExecContext(ctx, "CREATE TABLE stock (article varchar(40) PRIMARY KEY, pieces bigint NOT NULL)"); err != nil {
		return err
	}
	if _, err := own.ExecContext(ctx, "INSERT INTO stock VALUES ('kettle', 1)"); err != nil {
		return err
	}

	buy, stop, err := buyer(ctx, url, db)
	if err != nil {
		return err
	}
	defer stop()
	for _, order := range []string{"o1", "o2"} {
		err := buy(ctx, order, "kettle")
		if err != nil && !errors.Is(err, errSoldOut) {
			return err
		}
		fmt.Printf("order %s: %v\n", order, err)
	}

	fmt.Println("stock:")
	if err := shop.Print(ctx, own, "SELECT article, pieces FROM stock"); err != nil {
		return err
	}
	for _, order := range []string{"o1", "o2"} {
		events, err := db.ReadStream(ctx, shop.Order(order).Stream, 1, 0)
		if err != nil && !errors.Is(err, store.ErrStreamNotFound) {
			return err
		}
		fmt.Printf("events of %s: %d\n", order, len(events))
	}
	return nil
}

// buyer returns buy for the database that the URL names.
func buyer(ctx context.Context, url string, db shop.Database) (_ buy, stop func(), err error) {
	switch db := db.(type) {
	case *postgres.Store:
		pool, err := pgxpool.New(ctx, url)
		if err != nil {
			return nil, nil, err
		}
		return onPostgres(pool, db), pool.Close, nil
	case *mysql.Store:
		own, err := shop.OpenSQL(url)
		if err != nil {
			return nil, nil, err
		}
		return onMariaDB(own, db), func() { own.Close() }, nil
	case *sqlite.Store:
		return onSQLite(db), func() {}, nil
	}
	return nil, nil, fmt.Errorf("no transactions on %T", db)
}
