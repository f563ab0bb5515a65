package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

// modelCodes are identities of code; "" asks with none.
var modelCodes = []string{"", "one", "two", "three"}

func drawCode(t *rapid.T) string { return rapid.SampledFrom(modelCodes[1:]).Draw(t, "code") }

// fault draws what is said of an event that fails.
func fault(t *rapid.T, position int64, attempts int) store.ParkedFault {
	return store.ParkedFault{
		Position: position, Event: modelEvent(position), Error: fmt.Sprint("wrong at ", position), Attempts: attempts,
		RetryAfter: rapid.SampledFrom([]time.Duration{-1, 0, time.Hour}).Draw(t, "retry after"), Code: drawCode(t),
	}
}

// fail makes the key one that a try with this fault has left.
func (k *modelParked) fail(f *store.ParkedFault) {
	k.Event, k.Error, k.Attempts, k.NextAttempt = f.Event, f.Error, f.Attempts, time.Time{}
	if f.RetryAfter >= 0 {
		k.NextAttempt = time.Unix(1, 0) // some time
	}
	if !slices.Contains(k.tried, f.Code) {
		k.tried = append(k.tried, f.Code)
	}
}

// apply adds an event to the rows.
func (s *parkedState) apply(key string, position int64) store.Mutation {
	name, text := fmt.Sprintf("%x", key), fmt.Sprint(position, " ")
	s.rows[name] += text
	return mutate(traceAdd, store.Text(name), store.Text(text))
}

func (m *parkedProtocol) steps(mutations []store.Mutation) []store.Step {
	return store.NewFolder(m.projection).Fold(mutations)
}

// passEvents has events applied, parked, noted and skipped. Now and then a worker notes an event of a key that is
// parked no longer, as one does that has not heard of it: nothing of its commit must stay.
func (m *parkedProtocol) passEvents(t *rapid.T, claim store.Claim, commit *store.Commit) (func(), error) {
	next := m.parkedState.clone()
	var mutations []store.Mutation
	var want error
	for position := claim.Position + 1; position <= commit.Through; position++ {
		key := m.keyAt(position)
		if !claim.Range.Contains(store.PartitionHashOf([]byte(key))) {
			continue
		}
		parked := next.parked[key]
		fate := rapid.IntRange(0, 9).Draw(t, "fate")
		switch {
		case parked != nil:
			parked.note(position)
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: []byte(key), Position: position})
		case fate < 2:
			f := fault(t, position, 1)
			k := &modelParked{ParkedKey: store.ParkedKey{ParkedID: store.ParkedID{Projection: m.id, Key: []byte(key)}}}
			k.fail(&f)
			k.note(position)
			next.parked[key] = k
			commit.Parked = append(commit.Parked, store.NewParked{Key: []byte(key), Fault: f})
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: []byte(key), Position: position})
		case fate == 2:
			commit.Skipped = append(commit.Skipped, next.skip(key, position))
		case fate == 3 && rapid.Bool().Draw(t, "unheard"):
			want = store.ErrNotParked
			commit.Noted = append(commit.Noted, store.ParkedEvent{Key: []byte(key), Position: position})
		default:
			mutations = append(mutations, next.apply(key, position))
		}
	}
	commit.Steps = m.steps(mutations)
	return func() { m.parkedState = next }, want
}

// retry tries a key with the claim that its segment is held with.
func (m *parkedProtocol) retry(t *rapid.T) {
	key := m.drawKey(t)
	for _, claim := range slices.Backward(m.given) {
		if m.held(claim) != nil && claim.Range.Contains(store.PartitionHashOf([]byte(key))) {
			m.retryWith(t, claim, key)
			return
		}
	}
}

// staleRetry tries a key with any claim that was ever given for it, as a worker does that is late.
func (m *parkedProtocol) staleRetry(t *rapid.T) {
	key := m.drawKey(t)
	if claim, ok := m.drawClaim(t, len(m.given)); ok && claim.Range.Contains(store.PartitionHashOf([]byte(key))) {
		m.retryWith(t, claim, key)
	}
}

// drawKey chooses a key that is parked, mostly.
func (m *parkedProtocol) drawKey(t *rapid.T) string {
	key := rapid.SampledFrom(modelKeys).Draw(t, "key")
	if m.parked[key] != nil || rapid.IntRange(0, 4).Draw(t, "not parked") == 0 {
		return key
	}
	for _, other := range modelKeys {
		if m.parked[other] != nil {
			return other
		}
	}
	return key
}

// retryWith is one transaction of a try: events are applied, or the first is skipped, up to the last one or one that
// fails.
func (m *parkedProtocol) retryWith(t *rapid.T, claim store.Claim, key string) {
	next := m.parkedState.clone()
	k, parked := next.parked[key]
	if !parked {
		k = &modelParked{positions: []int64{m.at(modelPositions)}} // as it may have been
	}
	retry := store.Retry{Key: []byte(key), Log: m.log, Through: k.positions[0] - 1}
	var mutations []store.Mutation
	passed := rapid.IntRange(0, len(k.positions)).Draw(t, "events")
	fails := passed < len(k.positions) && rapid.Bool().Draw(t, "fails")
	if passed == 0 && !fails {
		passed = 1
	}
	for i, position := range k.positions[:passed] {
		if i == 0 && rapid.IntRange(0, 3).Draw(t, "skip") == 0 {
			retry.Skipped = append(retry.Skipped, next.skip(key, position))
		} else {
			mutations = append(mutations, next.apply(key, position))
		}
		retry.Through = position
	}
	retry.Orders = k.Orders
	if k.Orders > 0 && rapid.Bool().Draw(t, "ordered meanwhile") {
		retry.Orders--
	}
	if retry.Orders == k.Orders || k.Order == store.ActionSkip && passed > 0 {
		k.Order = ""
	}
	k.positions = k.positions[passed:]
	switch {
	case len(k.positions) == 0:
		delete(next.parked, key)
	case fails:
		attempts := 1
		if passed == 0 {
			attempts = k.Attempts + 1
		}
		f := fault(t, k.positions[0], attempts)
		retry.Fault = &f
		k.fail(&f)
	default:
		k.Attempts, k.NextAttempt = 0, time.Unix(1, 0) // at once
	}
	retry.Steps = m.steps(mutations)
	m.try(t, claim, retry, parked, next)
}

// try commits a retry, which only the claim that holds may, of a key that is parked.
func (m *parkedProtocol) try(t *rapid.T, claim store.Claim, retry store.Retry, parked bool, next parkedState) {
	var want error
	switch {
	case m.held(claim) == nil:
		want = store.ErrFenced
	case !parked:
		want = store.ErrNotParked
	}
	tx := m.catalogue.Begin(claim)
	defer tx.Rollback()
	unparked, err := tx.Retry(m.ctx, retry)
	if !errors.Is(err, want) {
		t.Fatalf("a retry %+v with %+v gives %v, must give %v", retry, claim, err, want)
	}
	if err != nil {
		return
	}
	if _, still := next.parked[string(retry.Key)]; still == unparked {
		t.Fatalf("a retry %+v reports that the key is parked no longer: %t", retry, unparked)
	}
	m.parkedState = next
}

// order says what is wanted of a key.
func (m *parkedProtocol) order(t *rapid.T) {
	key := m.drawKey(t)
	order := rapid.SampledFrom([]store.ParkedAction{store.ActionRetry, store.ActionSkip}).Draw(t, "order")
	err := m.store.Order(m.ctx, store.ParkedID{Projection: m.id, Key: []byte(key)}, order)
	k, parked := m.parked[key]
	var refused *store.InputError
	if parked != (err == nil) || err != nil && !errors.As(err, &refused) {
		t.Fatalf("an order for key %q, parked: %t, gives %v", key, parked, err)
	}
	if parked {
		k.Order = order
		k.Orders++
	}
}
