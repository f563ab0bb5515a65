package storetest

import (
	"fmt"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// advance has a worker apply events in all segments of a version of sums, each up to its position. keys are those of the
// events, in turn; that of parks is parked.
func (f *fixture) advance(version int, keys []string, parks string, through ...int64) {
	f.Helper()
	p := sending(version)
	catalogue, err := f.store.Install(f.ctx, p, len(through))
	f.must(err)
	f.begin(p, 0)
	f.must(f.store.Heartbeat(f.ctx, store.Worker{Name: worker}, time.Hour))
	claims, err := f.store.Claim(f.ctx, store.ClaimRequest{Projection: p.ID(), Worker: worker, Limit: len(through)})
	f.must(err)
	for i, claim := range claims {
		r := &runner{fixture: f, projection: p, catalogue: catalogue, claim: claim}
		commit := store.Commit{Through: f.at(through[i]), Log: claim.Applied.Log}
		for n := max(claim.Position-f.origin, 0) + 1; n <= through[i]; n++ {
			key := keys[(n-1)%int64(len(keys))]
			switch {
			case !claim.Range.Contains(store.PartitionHash(key)):
			case key == parks:
				if r.claim.Position = f.at(n - 1); len(commit.Parked) == 0 {
					commit.Parked = r.parked(key).Parked
				}
				commit.Noted = append(commit.Noted, r.note(key).Noted...)
			default:
				commit.Messages = append(commit.Messages, r.messagesAt(n, key)...)
			}
		}
		tx := catalogue.Begin(claim)
		f.must(tx.Commit(f.ctx, commit))
		tx.Rollback()
	}
}

// rangeKeys are keys, one in each of n ranges.
func rangeKeys(n int) (keys []string) {
	shares := store.SplitRange(n)
	for c := 'a'; len(keys) < n; c++ {
		if key := string(c); shares[len(keys)].Contains(store.PartitionHash(key)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// wantSenders compares which version sends the message of each position from the first on, such as "1122".
func (f *fixture) wantSenders(want string) {
	f.Helper()
	got := ""
	for i, m := range f.pending() {
		if got += fmt.Sprint(m.Version); m.Position != f.at(int64(i)+1) {
			f.Errorf("message %d is of position %d", i, m.Position-f.origin)
		}
	}
	if got != want {
		f.Errorf("the positions are sent by versions %s, want %s", got, want)
	}
}

// handOverRanges has the live version in three segments, at 5, 9 and 5, and the next one in two, at 9 and 10, and the one
// after it in one.
func handOverRanges(f *fixture) {
	f.handOut(f.at(20))
	keys := rangeKeys(3)
	f.advance(1, keys, "", 5, 9, 5)
	f.advance(2, keys, "", 9, 10)
	f.promote(2)
	f.wantSenders("111112212")
	f.advance(1, keys, "", 12, 12, 12)
	f.advance(3, keys, "", 12)
	f.promote(3)
	f.wantSenders("111112212333")
}

// handOverException has a version send what the one before had parked, while another segment of it is far behind.
func handOverException(f *fixture) {
	f.handOut(f.at(20))
	keys := rangeKeys(2)
	parked := keys[0]
	f.advance(1, keys, parked, 5, 1)
	f.advance(2, keys, "", 5, 1)
	f.promote(2)
	want := fmt.Sprintf("v2.1.0 %[1]s; v2.3.0 %[1]s; v2.5.0 %[1]s", parked)
	if got := f.deliver(false); got != want {
		f.Errorf("sent is %q, want %q", got, want)
	}
	f.advance(3, keys, "", 5, 1)
	f.promote(3)
	f.wantMessages("", "")
	f.rollback(3, 2)
	f.advance(2, keys, "", 5, 4)
	f.wantPending(fmt.Sprintf("v2.2.0 %[1]s; v2.4.0 %[1]s", keys[1]))
}
