package pupwasmtest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pupwasm/pupwasm/pupwasmtest"
)

// exampleT is the t of a test function, for examples that run.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                  {}
func (t *exampleT) Name() string             { return "Example" }
func (t *exampleT) Context() context.Context { return context.Background() }
func (t *exampleT) Error(args ...any)        { fmt.Println(args...) }
func (t *exampleT) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *exampleT) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }

func (t *exampleT) TempDir() string {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func (t *exampleT) end() {
	for _, cleanup := range t.cleanups {
		cleanup()
	}
}

func ExampleBuild() {
	t := &exampleT{} // of a test function: func TestUsers(t *testing.T)
	defer t.end()

	p := pupwasmtest.Build(t, filepath.Join("..", "modules", "examples", "user_counter"), pupwasmtest.Options{Compiler: "go"})
	p.Given(pupwasmtest.Event("Shop/User/ann", "Registered", nil)).
		When(pupwasmtest.Event("Shop/Order/1", "Placed", map[string]any{"user_id": "ann", "total": 12.5})).
		Then(pupwasmtest.Rows("users", pupwasmtest.Row{"user_id": "ann", "events": 3}))
	// Output:
	// users user_id=ann: events is 2, want 3
}

func ExampleFault() {
	t := &exampleT{} // of a test function
	defer t.end()

	p := pupwasmtest.Build(t, filepath.Join("..", "modules", "examples", "user_counter"), pupwasmtest.Options{Compiler: "go"})
	p.When(pupwasmtest.Event("Shop/Order/1", "Placed", map[string]any{"user_id": 17})).
		Then(pupwasmtest.Fault(1, "not a string"), pupwasmtest.Rows("users"))
	// Output:
}
