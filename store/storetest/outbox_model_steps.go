package storetest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func (m *outboxProtocol) id(version int) store.ProjectionID {
	return store.ProjectionID{Name: m.name, Version: version}
}

func (m *outboxProtocol) drawVersion(t *rapid.T) int {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.versions))).Draw(t, "of version")
}

// others are the versions that are not live.
func (m *outboxProtocol) others() (all []int) {
	for _, version := range slices.Sorted(maps.Keys(m.versions)) {
		if version != m.live {
			all = append(all, version)
		}
	}
	return all
}

// claimsOf claims all segments of a version that do not wait for a merge.
func (m *outboxProtocol) claimsOf(version int) []store.Claim {
	claims, err := m.store.Claim(m.ctx, store.ClaimRequest{Projection: m.id(version), Worker: m.worker, Limit: 100})
	m.ok(err)
	return claims
}

// work applies some events in a segment.
func (m *outboxProtocol) work(t *rapid.T) {
	version := m.drawVersion(t)
	claims := m.claimsOf(version)
	if len(claims) == 0 {
		return
	}
	claim := claims[rapid.IntRange(0, len(claims)-1).Draw(t, "segment")]
	m.apply(t, version, claim, max(claim.Position, m.origin)+rapid.Int64Range(1, 6).Draw(t, "events"))
}

// apply has a segment apply, park and skip events up to a position, or up to its merge.
func (m *outboxProtocol) apply(t *rapid.T, version int, claim store.Claim, through int64) {
	through = min(through, m.at(outboxModelEnd))
	if claim.MergeAt > 0 {
		through = min(through, claim.MergeAt)
	}
	if through <= claim.Position {
		return
	}
	v := m.versions[version]
	parked := map[string][]int64{}
	maps.Copy(parked, v.parked)
	commit := store.Commit{Through: through, Log: m.log}
	var applied, skipped []int64
	for position := max(claim.Position, m.origin) + 1; position <= through; position++ {
		key := m.keyAt(position)
		if !claim.Range.Contains(store.PartitionHash(key)) {
			continue
		}
		fate := rapid.IntRange(0, 9).Draw(t, "fate")
		noted := store.ParkedEvent{Key: []byte(key), Position: position}
		switch {
		case parked[key] != nil:
			commit.Noted = append(commit.Noted, noted)
			parked[key] = append(slices.Clone(parked[key]), position)
		case fate == 0:
			commit.Parked = append(commit.Parked, store.NewParked{Key: noted.Key, Fault: fault(t, position, 1)})
			commit.Noted = append(commit.Noted, noted)
			parked[key] = []int64{position}
		case fate == 1:
			commit.Skipped = append(commit.Skipped, skippedAt(position, key))
			skipped = append(skipped, position)
		default:
			commit.Messages = append(commit.Messages, m.messagesOf(version, position)...)
			applied = append(applied, position)
		}
	}
	tx := v.catalogue.Begin(claim)
	defer tx.Rollback()
	m.ok(tx.Commit(m.ctx, commit))
	v.parked = parked
	for _, position := range skipped {
		m.passed(version, position, false)
	}
	for _, position := range applied {
		m.passed(version, position, true)
	}
	if rapid.IntRange(0, 9).Draw(t, "again") == 0 { // it has not heard of the commit
		again := v.catalogue.Begin(claim)
		defer again.Rollback()
		if err := again.Commit(m.ctx, commit); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("the same commit again: %v, want ErrFenced", err)
		}
	}
}

func skippedAt(position int64, key string) store.SkippedEvent {
	return store.SkippedEvent{Key: []byte(key), Position: position, Error: "skipped"}
}

// retry applies events of a parked key, or skips the first, up to the last one or one that fails.
func (m *outboxProtocol) retry(t *rapid.T) {
	var all []int
	for _, version := range slices.Sorted(maps.Keys(m.versions)) {
		if len(m.versions[version].parked) > 0 {
			all = append(all, version)
		}
	}
	if len(all) == 0 {
		return
	}
	version := rapid.SampledFrom(all).Draw(t, "of version")
	v := m.versions[version]
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(v.parked))).Draw(t, "key")
	claims := m.claimsOf(version)
	at := slices.IndexFunc(claims, func(c store.Claim) bool { return c.Range.Contains(store.PartitionHash(key)) })
	if at < 0 {
		return
	}
	positions := v.parked[key]
	n := rapid.IntRange(1, len(positions)).Draw(t, "events")
	retry := store.Retry{Key: []byte(key), Through: positions[n-1], Log: m.log}
	skip := rapid.IntRange(0, 4).Draw(t, "skip") == 0
	for i, position := range positions[:n] {
		if skip && i == 0 {
			retry.Skipped = []store.SkippedEvent{skippedAt(position, key)}
		} else {
			retry.Messages = append(retry.Messages, m.messagesOf(version, position)...)
		}
	}
	if n < len(positions) && rapid.Bool().Draw(t, "fails") {
		f := fault(t, positions[n], 1)
		retry.Fault = &f
	}
	tx := v.catalogue.Begin(claims[at])
	defer tx.Rollback()
	unparked, err := tx.Retry(m.ctx, retry)
	m.ok(err)
	if unparked != (n == len(positions)) {
		t.Fatalf("a retry of %d of %d events unparks: %t", n, len(positions), unparked)
	}
	if v.parked[key] = positions[n:]; unparked {
		delete(v.parked, key)
	}
	for i, position := range positions[:n] {
		m.passed(version, position, !skip || i > 0)
	}
}

// promote makes another version live, mostly once that has caught up.
func (m *outboxProtocol) promote(t *rapid.T) {
	others := m.others()
	if len(others) == 0 {
		m.candidate(t)
		return
	}
	version := rapid.SampledFrom(others).Draw(t, "version")
	if rapid.IntRange(0, 3).Draw(t, "catches up") > 0 {
		m.catchUp(t, version)
	}
	_, err := m.store.Promote(m.ctx, m.id(version))
	m.exchange(t, version, err)
}

func (m *outboxProtocol) rollback(t *rapid.T) {
	versions, err := m.store.Installed(m.ctx, m.name)
	m.ok(err)
	to := versions.Live().Replaced.Version
	if to > 0 && rapid.IntRange(0, 3).Draw(t, "catches up") > 0 {
		m.catchUp(t, to)
	}
	_, err = m.store.Rollback(m.ctx, m.name)
	if refused := (*store.InputError)(nil); to == 0 && errors.As(err, &refused) {
		return
	}
	m.exchange(t, to, err)
}

// exchange notes the version that is live by now, unless it was behind.
func (m *outboxProtocol) exchange(t *rapid.T, version int, err error) {
	if behind := (*store.BehindError)(nil); errors.As(err, &behind) {
		return
	}
	m.ok(err)
	m.exchanged(version)
	if rapid.Bool().Draw(t, "begins") {
		m.begin(outboxModelEnd)
	}
}

// catchUp has a version apply what the live one has, range by range.
func (m *outboxProtocol) catchUp(t *rapid.T, version int) {
	all, err := m.store.Status(m.ctx, m.name)
	m.ok(err)
	live := store.LiveOf(all).Segments
	for range 2 {
		for _, claim := range m.claimsOf(version) {
			last := int64(0)
			for _, s := range live {
				if s.Range.First <= claim.Range.Last && claim.Range.First <= s.Range.Last {
					last = max(last, s.Position)
				}
			}
			m.apply(t, version, claim, last+rapid.Int64Range(0, 2).Draw(t, "ahead"))
		}
		m.ok(m.store.Reshard(m.ctx, m.id(version), func(l *store.Layout) error { l.CompleteMerges(); return nil }))
	}
}

// candidate begins a version beside the live one.
func (m *outboxProtocol) candidate(t *rapid.T) {
	version := m.live + rapid.IntRange(1, 3).Draw(t, "later")
	if m.versions[version] == nil && len(m.versions) < 3 {
		m.install(version)
	}
}

// leave gives up all segments.
func (m *outboxProtocol) leave() {
	m.ok(m.store.Leave(m.ctx, store.Worker{Name: m.worker}))
	m.ok(m.store.Heartbeat(m.ctx, store.Worker{Name: m.worker}, time.Hour))
}

func (m *outboxProtocol) retire(t *rapid.T) {
	others := m.others()
	if len(others) == 0 || rapid.IntRange(0, 2).Draw(t, "seldom") > 0 {
		return
	}
	version := rapid.SampledFrom(others).Draw(t, "version")
	m.leave()
	m.ok(m.store.Retire(m.ctx, m.id(version)))
	delete(m.versions, version)
}

// reset begins anew, in the same version or another.
func (m *outboxProtocol) reset(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "seldom") > 0 {
		return
	}
	m.leave()
	m.ok(m.store.Reset(m.ctx, m.name))
	m.versions, m.live = map[int]*modelVersion{}, max(1, m.live+rapid.IntRange(-1, 1).Draw(t, "other version"))
	m.install(m.live)
	m.begin(rapid.Int64Range(0, outboxModelEnd).Draw(t, "begins after"))
}

// divide changes the segments of a version.
func (m *outboxProtocol) divide(t *rapid.T) {
	version := m.drawVersion(t)
	merges := rapid.Bool().Draw(t, "merges")
	at := rapid.IntRange(0, 10).Draw(t, "at")
	err := m.store.Reshard(m.ctx, m.id(version), func(l *store.Layout) error {
		l.CompleteMerges()
		segment := l.Segments[at%len(l.Segments)].Segment
		switch {
		case !merges:
			return l.Split(segment, 2)
		case len(l.Segments) > 1:
			at := at % (len(l.Segments) - 1)
			return l.Merge(l.Segments[at].Segment, l.Segments[at+1].Segment)
		}
		return nil
	})
	if refused := (*store.InputError)(nil); !errors.As(err, &refused) { // one that is being merged
		m.ok(err)
	}
}
