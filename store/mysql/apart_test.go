package mysql_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/storetest"
)

// TestStore_apart has the log in another database.
func TestStore_apart(t *testing.T) {
	t.Parallel()
	driver := storetest.Driver{Dialect: store.DialectMySQL, New: newDatabase}
	storetest.RunApart(t, driver, driver)
}
