package puptest_test

import (
	"strings"
	"sync"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// TestApply_rowsOfOtherGoroutinesFailTheTest has a projection write rows from a goroutine that it waits for,
// does not wait for, or leaves behind: in a guest all of them would be lost or depend on the scheduler.
func TestApply_rowsOfOtherGoroutinesFailTheTest(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	for name, test := range map[string]struct {
		write func(row func())
		want  string
	}{
		"in Handle": {func(row func()) { row() }, ""},
		"waited for": {func(row func()) {
			var group sync.WaitGroup
			group.Add(1)
			go func() {
				defer group.Done()
				row()
			}()
			group.Wait()
		}, "by another goroutine"},
		"left behind": {func(row func()) {
			go func() {
				<-stop
				row()
			}()
		}, "is still at work"},
		"without rows": {func(row func()) {
			go func() { <-stop }()
			row()
		}, "is still at work"},
		"waited for without rows": {func(row func()) {
			done := make(chan struct{})
			go close(done)
			<-done
			row()
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			table := pup.NewTable("counts", pup.Text("id").Key(), pup.I64("n"))
			count := table.Upsert("count", pup.Add("n"))
			handle := func(b *pup.Batch, out *pup.Mutations) error {
				for e := range b.Events() {
					test.write(func() { count.Row(out, e).Text(e.AggregateID()).I64(1) })
				}
				return nil
			}
			failure := failureOf(t, func(recorder testing.TB) {
				p := newProjection(recorder, handle, table)
				p.Apply(puptest.Event{AggregateID: "a", Type: "T"})
				p.WantRows("counts", "id=a n=1")
			})
			if (failure == "") != (test.want == "") || !strings.Contains(failure, test.want) {
				t.Errorf("the test fails with %q, must with %q", failure, test.want)
			}
		})
	}
}

// TestApply_aValueThatComesTooLateFails has a projection hold on to a row, and go on with it at the next batch.
func TestApply_aValueThatComesTooLateFails(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("counts", pup.Text("id").Key(), pup.I64("n"))
	count := table.Upsert("count", pup.Add("n"))
	var kept *pup.Row
	p := newProjection(t, func(b *pup.Batch, out *pup.Mutations) error {
		if kept != nil {
			kept.I64(1)
		}
		for e := range b.Events() {
			kept = count.Row(out, e).Text("a").I64(1)
		}
		return nil
	}, table)
	p.Apply(puptest.Event{AggregateID: "a", Type: "T"})
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "after Handle has returned") {
			t.Errorf("panics with %v", r)
		}
	}()
	p.Apply(puptest.Event{AggregateID: "a", Type: "T"})
}
