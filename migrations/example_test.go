package migrations_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// A deployment brings a database to the layout of this version, and shows what it has. A program that only runs calls
// the store's Migrate.
func ExampleMigrator() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "pupwasm-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sqlite.OpenSQL(filepath.Join(folder, "shop.db")) // or sql.Open("pgx", url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	migrator, err := migrations.New(db, migrations.SQLite, "pupwasm")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(ctx); err != nil {
		log.Fatal(err)
	}
	states, err := migrator.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, state := range states {
		fmt.Println(state.Number, state.Name, state.Applied)
	}
	// Output:
	// 1 events true
	// 2 projections true
	// 3 snapshots true
	// 4 outbox true
}
