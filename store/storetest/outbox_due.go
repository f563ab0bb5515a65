package storetest

import "fmt"

// outboxManyDue has many keys be due that have failed. What has not failed is seen behind them.
func outboxManyDue(f *fixture) {
	r := f.sender(1)
	for i := range 12 {
		r.emit(fmt.Sprint("bad", i))
	}
	for i := range 12 {
		r.emit(fmt.Sprint("bad", i), fmt.Sprint("good", i))
	}
	for _, m := range f.pending()[:12] {
		f.undelivered(&m, "down", 0)
	}
	size := 0
	f.await("all are due", func() bool {
		all := f.pending()
		if len(all) > 0 {
			size = all[0].Size()
		}
		return len(all) == 24
	})
	for _, c := range []struct{ messages, bytes, failed, others int }{
		{100, 1 << 30, 12, 12},
		{10, 1 << 30, 5, 5},
		{18, 1 << 30, 9, 9},
		{2, 1 << 30, 1, 1},
		{100, 12*size + 60, 6, 6},
	} {
		all, err := f.store.Pending(f.ctx, "sums", c.messages, c.bytes)
		f.must(err)
		failed := 0
		for i := range all {
			if all[i].Attempts > 0 {
				failed++
			}
		}
		if failed != c.failed || len(all) != c.failed+c.others {
			f.Errorf("of %d messages and %d bytes there is %s", c.messages, c.bytes, f.nameAll(all))
		}
	}
}
