package storetest

import (
	"strings"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// alert claims an alert for the projections of the cases, and returns its key, or "".
func (f *fixture) alert(s store.Store, hold time.Duration) *store.ParkedKey {
	f.Helper()
	key, err := s.ClaimAlert(f.ctx, []string{"sums", "none"}, hold)
	f.must(err)
	return key
}

func parkingAlerts(f *fixture) {
	r := f.running(totals("sums"))
	if key := f.alert(f.store, time.Hour); key != nil {
		f.Errorf("nothing is parked, and there is an alert for %s", key.Key)
	}
	r.parkAt("a\xff\x00")
	if key, err := f.store.ClaimAlert(f.ctx, []string{"other"}, time.Hour); err != nil || key != nil {
		f.Errorf("another projection has an alert for %v, %v", key, err)
	}
	key := f.alert(f.store, time.Hour)
	if key == nil || string(key.Key) != "a\xff\x00" || key.Projection != sumsID || key.First != f.at(1) ||
		key.Event != (store.UUID{1}) || !strings.HasPrefix(key.Error, "wrong") || key.ParkedAt.IsZero() {
		f.Fatalf("the alert is %+v", key)
	}
	other := f.Open(f)
	if again := f.alert(other, time.Hour); again != nil {
		f.Errorf("another worker gets the alert for %s too", again.Key)
	}
	f.must(f.store.SettleAlert(f.ctx, key, store.Alert{Again: time.Hour}))
	if again := f.alert(other, time.Hour); again != nil {
		f.Errorf("the alert for %s comes again before its time", again.Key)
	}
	f.must(f.store.SettleAlert(f.ctx, key, store.Alert{}))
	if again := f.alert(other, 0); again == nil {
		f.Error("an alert that was given up does not come again")
	}
	f.await("a claim that ends is another's", func() bool { return f.alert(other, time.Hour) != nil })
	f.must(other.SettleAlert(f.ctx, key, store.Alert{Told: true}))
	r.parkAt("b")
	if next := f.alert(f.store, time.Hour); next == nil || string(next.Key) != "b" {
		f.Errorf("the next alert is %+v", next)
	}

	// A key that is parked again is another matter, of which the answer to the first alert says nothing.
	retry := store.Retry{Key: key.Key, Through: f.at(1)}
	if unparked, err := r.retry(retry); err != nil || !unparked {
		f.Fatalf("unparked: %t, %v", unparked, err)
	}
	r.parkAt("a\xff\x00")
	f.must(other.SettleAlert(f.ctx, key, store.Alert{Told: true}))
	if again := f.alert(f.store, time.Hour); again == nil || again.First != f.at(3) {
		f.Errorf("parked again, the alert is %+v", again)
	}
}

// parkingAlertRace has several workers claim the alerts of several keys at the same time: each is one's.
func parkingAlertRace(f *fixture) {
	const keys, workers = 20, 4
	r := f.running(totals("sums"))
	for i := range keys {
		r.parkAt(string(rune('a' + i)))
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	claimed := map[string]int{}
	for range workers {
		s := f.Open(f)
		group.Go(func() {
			for key := f.alert(s, time.Hour); key != nil; key = f.alert(s, time.Hour) {
				mu.Lock()
				claimed[string(key.Key)]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for i := range keys {
		if n := claimed[string(rune('a'+i))]; n != 1 {
			f.Errorf("the alert for %c was claimed %d times", 'a'+i, n)
		}
	}
}
