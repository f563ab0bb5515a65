package pup_test

import (
	"sync"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// registering is held while a test registers a projection of its own and takes it over: a module has one.
var registering sync.Mutex

func newProjection(t testing.TB, p pup.Projection) *puptest.Projection {
	t.Helper()
	registering.Lock()
	defer registering.Unlock()
	if p.Name == "" {
		// Most tests are not about who owns a row, and with this ordering nobody has to.
		p.Name, p.Version, p.Ordering = "tested", 1, pup.OrderGlobal
	}
	pup.Register(p)
	return puptest.New(t)
}

func newCounter() (*pup.Table, *pup.Write) {
	table := pup.NewTable("counts", pup.Text("id").Key(), pup.I64("n").NotNull().Default(0))
	return table, table.Upsert("count", pup.Add("n"))
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); got != want {
			t.Errorf("panics with %v, want %s", got, want)
		}
	}()
	f()
}
