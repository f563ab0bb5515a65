package main_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestRun_segmentsAreSpreadEvenlyAndFreeTheMomentAHostHasStopped changes the number of hosts.
func TestRun_segmentsAreSpreadEvenlyAndFreeTheMomentAHostHasStopped(t *testing.T) {
	t.Parallel()
	const segments = 8
	projections := []string{"fine_balance", "order_check"}
	f := newFleet(t, postgresDatabase(pgtest.New(t)), projections...)
	for _, count := range []int{1, 3, 5, 2} {
		for len(f.hosts) < count {
			f.add(segments)
		}
		for len(f.hosts) > count {
			f.hosts[0].awaitCount(t, "projection installed", len(projections))
			f.note("remove", f.terminate(f.hosts[0])) // checks what it leaves behind
		}
		f.awaitSpread(segments, projections)
	}
	for len(f.hosts) > 0 {
		f.note("remove", f.terminate(f.hosts[0]))
	}
	for _, p := range readStatus(t, f.db).Projections {
		for _, s := range p.Segments {
			if s.Owner != "" || s.State != "waiting" {
				t.Errorf("%s, segment %d is %s and owned by %q when all hosts have stopped", p.Name, s.Segment, s.State, s.Owner)
			}
		}
	}
	f.checkLogs()
}

// spreadPolls is how many polls in a row must find an even spread: a passing one does not count.
const spreadPolls = 4

// awaitSpread waits until each host has its share of every projection and keeps it.
func (f *fleet) awaitSpread(segments int, projections []string) {
	f.t.Helper()
	even := 0
	var spread string
	testwait.Until(f.t, fmt.Sprintf("%d hosts have equal shares", len(f.hosts)), func() bool {
		even++
		spread = ""
		status := readStatus(f.t, f.db)
		for _, p := range status.Projections {
			held := map[string]int{}
			for _, h := range f.hosts {
				held[h.name] = 0
			}
			for _, s := range p.Segments {
				if s.State == "running" {
					held[s.Owner]++
				}
			}
			counts := slices.Sorted(maps.Values(held))
			low, high := segments/len(f.hosts), (segments+len(f.hosts)-1)/len(f.hosts)
			total := 0
			for _, n := range counts {
				total += n
			}
			if len(p.Segments) != segments || total != segments || counts[0] != low || counts[len(counts)-1] != high {
				even = 0
			}
			spread += fmt.Sprintf(" %s %v", p.Name, counts)
		}
		if len(status.Projections) != len(projections) {
			even = 0
		}
		return even >= spreadPolls
	})
	f.note("spread", fmt.Sprintf("over %d hosts:%s", len(f.hosts), spread))
}

func TestRun_aHostThatWasStoppedLongerThanItsLeaseIsFencedAndGoesOn(t *testing.T) {
	t.Parallel()
	f := newFleet(t, postgresDatabase(pgtest.New(t)), allProjections...)
	late := f.add(4)
	late.awaitCount(t, "segment claimed", 4*len(allProjections))
	appending := startWriters(t, f.db, 1)
	testwait.Until(t, "events are applied", func() bool { events, _ := totals(t, f.db); return events > 200 })
	other := f.add(4)
	other.awaitCount(t, "segment claimed", 2*len(allProjections))

	late.signal(syscall.SIGSTOP)
	testwait.Until(t, "the other host has taken over",
		func() bool { owned, _ := f.left(other); return owned == 4*len(allProjections) })
	f.note("takeover", other.name)
	before, _ := totals(t, f.db)
	testwait.Until(t, "it gets on", func() bool { events, _ := totals(t, f.db); return events > before+200 })
	late.signal(syscall.SIGCONT)
	late.awaitLog(t, "segment lost to another claim")
	f.note("fenced", late.name)
	claimed := strings.Count(late.output.String(), "segment claimed")
	late.awaitCount(t, "segment claimed", claimed+1) // it takes its share again
	testwait.Until(t, "both have their share",
		func() bool { owned, _ := f.left(late); return owned == 2*len(allProjections) })

	appending.finish()
	f.complete(appending)
}

func TestRun_aServerThatIsReadOnlyForAWhileEndsNobody(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	f := newFleet(t, postgresDatabase(server.New(t)), allProjections...)
	for range 2 {
		f.add(4).awaitCount(t, "projection installed", len(allProjections))
	}
	appending := startWriters(t, f.db, 2)
	for round := 1; round <= 2; round++ {
		before, _ := totals(t, f.db)
		testwait.Until(t, "events are applied", func() bool { events, _ := totals(t, f.db); return events > before+300 })
		server.ReadOnly(t, true)
		for _, h := range f.hosts {
			h.awaitCount(t, "database not available, trying again", round)
		}
		<-time.After(2 * hostLease) // no lease holds any more
		if round == 2 {
			f.add(4) // one that starts in the middle
			f.hosts[2].awaitLog(t, "database is read-only, trying again")
		}
		f.checkAlive()
		server.ReadOnly(t, false)
		for _, h := range f.hosts {
			h.awaitLog(t, "database answers again")
		}
	}
	appending.finish()
	f.complete(appending)
	for _, h := range f.gone {
		// What was under way when the server came back may tell of it once more.
		if n := strings.Count(h.output.String(), "database not available"); n > 4 {
			t.Errorf("%s tells of 2 outages %d times", h.name, n)
		}
	}
}
