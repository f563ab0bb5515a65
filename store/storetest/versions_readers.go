package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// exchanges is how often readers see another version in a case.
const exchanges = 50

// race commits to two versions that stay within a few positions of each other, until it is stopped.
type race struct {
	mu       sync.Mutex
	moved    *sync.Cond
	position [2]int64
	stopped  bool
}

// leadMax is how far one version may be ahead of the other.
const leadMax = 3

func newRace() *race {
	r := &race{}
	r.moved = sync.NewCond(&r.mu)
	return r
}

// run commits as long as the race goes on. Each commit adds 1 to a row, which so has the position.
func (r *race) run(number int, of *runner) error {
	for r.next(number) {
		if err := of.commit(put("a", 1), mutate(1, store.Text("a"), store.I64(1))); err != nil && !errors.Is(err, store.ErrTransient) {
			return err
		} else if err == nil {
			r.mu.Lock()
			r.position[number]++
			r.moved.Broadcast()
			r.mu.Unlock()
		}
	}
	return nil
}

// next waits until a version may move, and reports whether the race goes on.
func (r *race) next(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.stopped && r.position[number] >= r.position[1-number]+leadMax {
		r.moved.Wait()
	}
	return !r.stopped
}

func (r *race) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.moved.Broadcast()
}

// paired is sums with a second table, which gets the same rows. Version 2 has a column more in the first.
func paired(version int) *store.Projection {
	p := sums(version)
	twin, write := p.Tables[0], p.Writes[totalsPut]
	twin.Name, write.Name, write.Table = "twin", "put_twin", "twin"
	p.Tables, p.Writes, p.Queries = append(p.Tables, twin), []store.Write{p.Writes[totalsPut], write}, nil
	if version == 2 {
		p.Tables[0].Columns = append(p.Tables[0].Columns[:2:2], store.Column{Name: "note", Type: typed("text")})
	}
	return p
}

// versionReaders has readers, each with a prepared statement, read while both versions are written and exchanged. They
// never see an older position, no row, or half of an exchange.
func versionReaders(f *fixture) {
	f.handOut(f.at(5000))
	var runners [2]*runner
	for number := range runners {
		r := f.runningOn(f.Open(f), paired(number+1), fmt.Sprintf("worker-%d", number+1))
		r.apply(put("a", 1), mutate(1, store.Text("a"), store.I64(1)))
		runners[number] = r
	}
	race, reading := newRace(), make(chan struct{})
	var writers, readers sync.WaitGroup
	for number, r := range runners {
		writers.Go(func() {
			if err := race.run(number, r); err != nil {
				f.Errorf("version %d: %v", number+1, err)
				race.stop()
			}
		})
	}
	for range 2 {
		read := f.Prepare(f, "SELECT a.n, b.n FROM "+f.Table("sums", "total")+" AS a JOIN "+
			f.Table("sums", "twin")+" AS b ON a.name = b.name")
		readers.Go(func() {
			last := int64(0)
			for {
				select {
				case <-reading:
					return
				default:
				}
				rows := read()
				if len(rows) != 1 {
					f.Errorf("a reader sees %v", rows)
					return
				}
				n, err := strconv.ParseInt(rows[0][0], 10, 64)
				if err != nil || n < last || rows[0][1] != rows[0][0] {
					f.Errorf("a reader sees %v after %d", rows, last)
					return
				}
				last = n
			}
		})
	}
	for range exchanges / 2 {
		f.exchanged(func() error { _, err := f.store.Promote(f.ctx, sumsOf(2)); return err })
		f.exchanged(func() error { _, err := f.store.Rollback(f.ctx, "sums"); return err })
	}
	race.stop()
	close(reading)
	readers.Wait()
	writers.Wait()
	f.wantStages("1 live, 2 candidate")
}

// exchanged tries until a promotion or a rollback succeeds.
func (f *fixture) exchanged(exchange func() error) {
	f.Helper()
	f.await("the exchange succeeds", func() bool {
		err := exchange()
		var behind *store.BehindError
		if err != nil && !errors.As(err, &behind) && !errors.Is(err, store.ErrTransient) {
			f.Fatal(err)
		}
		return err == nil
	})
}
