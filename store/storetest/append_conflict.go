package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

func appendExpected(f *fixture) {
	f.appendTo(stream("has3"), 3)
	cases := []struct {
		name     string
		stream   string
		expected store.Expected
		actual   int64 // of the conflict; -1 when there is none
	}{
		{"any of a new stream", "new1", store.Any(), -1},
		{"none of a new stream", "new2", store.NoStream(), -1},
		{"exactly 0 of a new stream", "new3", store.Exact(0), -1},
		{"exactly 1 of a new stream", "new4", store.Exact(1), 0},
		{"none of a stream", "has3", store.NoStream(), 3},
		{"a version behind", "has3", store.Exact(2), 3},
		{"a version ahead", "has3", store.Exact(4), 3},
		{"the version", "has3", store.Exact(3), -1},
		{"the version before", "has3", store.Exact(3), 4},
		{"any of a stream", "has3", store.Any(), -1},
	}
	for _, c := range cases {
		_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{
			Stream:   stream(c.stream),
			Expected: c.expected, Events: events(1),
		})
		var conflict *store.VersionConflictError
		switch {
		case c.actual < 0 && err != nil:
			f.Errorf("%s: %v", c.name, err)
		case c.actual < 0:
		case !errors.As(err, &conflict):
			f.Errorf("%s: %v, want a version conflict", c.name, err)
		case *conflict != store.VersionConflictError{Stream: stream(c.stream), Expected: c.expected, Actual: c.actual}:
			f.Errorf("%s: the conflict is %+v", c.name, *conflict)
		}
	}
	if got, want := f.versions(stream("has3")), []int64{1, 2, 3, 4, 5}; !slices.Equal(got, want) {
		f.Errorf("versions are %v, want %v", got, want)
	}
}

func appendConflictIsAtomic(f *fixture) {
	f.appendTo(stream("b"), 1)
	_, err := f.append(f.ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Events: events(2)},
		store.StreamAppend{Stream: stream("b"), Expected: store.NoStream(), Events: events(1)},
		store.StreamAppend{Stream: stream("c"), Events: events(1)})
	var conflict *store.VersionConflictError
	if !errors.As(err, &conflict) || conflict.Stream != stream("b") {
		f.Errorf("got %v", err)
	}
	if got := summary(f.read()); got != "b@1" {
		f.Errorf("the log is %s", got)
	}
}

func appendConflicts(f *fixture) {
	f.appendTo(stream("b"), 2)
	_, err := f.append(f.ctx, store.AppendOptions{},
		store.StreamAppend{Stream: stream("a"), Expected: store.Exact(4), Events: events(2)},
		store.StreamAppend{Stream: stream("b"), Expected: store.Exact(2), Events: events(1)},
		store.StreamAppend{Stream: stream("b"), Expected: store.Exact(2), Events: events(1)},
		store.StreamAppend{Stream: stream("c"), Events: events(1)})
	var conflicts store.VersionConflicts
	if !errors.As(err, &conflicts) || len(conflicts) != 2 {
		f.Fatalf("got %v, want two conflicts", err)
	}
	for i, want := range []store.VersionConflictError{
		{Stream: stream("a"), Expected: store.Exact(4), Actual: 0}, {
			Stream: stream("b"), Expected: store.Exact(2),
			Actual: 3,
		},
	} {
		if *conflicts[i] != want {
			f.Errorf("conflict %d is %+v, want %+v", i, *conflicts[i], want)
		}
	}
	var first *store.VersionConflictError
	if !errors.As(err, &first) || first != conflicts[0] || strings.Contains(err.Error(), "\n") {
		f.Errorf("the first conflict is %v", first)
	}
}

func appendDuplicate(f *fixture) {
	id := store.UUID{9}
	one := func(to string) store.StreamAppend {
		return store.StreamAppend{Stream: stream(to), Events: []store.Event{{ID: id, Type: "x"}}}
	}
	for _, appends := range [][]store.StreamAppend{{one("a"), one("b")}, {one("a"), one("a")}} {
		_, err := f.append(f.ctx, store.AppendOptions{}, appends...)
		var duplicate *store.DuplicateEventError
		if !errors.As(err, &duplicate) || duplicate.ID != id {
			f.Errorf("twice in a call: %v", err)
		}
	}
	_, err := f.append(f.ctx, store.AppendOptions{}, one("a"))
	f.must(err)
	for _, to := range []string{"a", "b"} {
		_, err := f.append(f.ctx, store.AppendOptions{}, store.StreamAppend{Stream: stream("c"), Events: events(1)},
			one(to))
		var duplicate *store.DuplicateEventError
		if !errors.As(err, &duplicate) || duplicate.ID != id {
			f.Errorf("stored before, now to %s: %v", to, err)
		}
	}
	if got := summary(f.read()); got != "a@1" {
		f.Errorf("the log is %s", got)
	}
}

func appendSkipDuplicates(f *fixture) {
	with := func(ids ...byte) []store.Event {
		all := make([]store.Event, len(ids))
		for i, id := range ids {
			all[i] = store.Event{ID: store.UUID{id}, Type: "x"}
		}
		return all
	}
	skip := store.AppendOptions{SkipDuplicates: true}
	steps := []struct {
		name     string
		expected store.Expected
		ids      []byte
		versions []int64 // 0 for skipped
	}{
		{"new", store.NoStream(), []byte{1, 2}, []int64{1, 2}},
		{"all known", store.NoStream(), []byte{1, 2}, []int64{0, 0}},
		{"some known", store.Any(), []byte{2, 3, 1, 4}, []int64{0, 3, 0, 4}},
		{"twice in the call", store.Any(), []byte{5, 5, 6}, []int64{5, 0, 6}},
		{"versions are checked without them", store.Exact(6), []byte{7, 8}, []int64{7, 8}},
	}
	for _, s := range steps {
		appended, err := f.append(f.ctx, skip, store.StreamAppend{
			Stream: stream("a"), Expected: s.expected,
			Events: with(s.ids...),
		})
		f.must(err)
		for i, a := range appended {
			if a.ID != (store.UUID{s.ids[i]}) || a.AggregateVersion != s.versions[i] ||
				a.Skipped() != (s.versions[i] == 0) {
				f.Errorf("%s: event %d became %+v, want version %d", s.name, i, a, s.versions[i])
			}
		}
	}
	_, err := f.append(f.ctx, skip, store.StreamAppend{Stream: stream("a"), Expected: store.Exact(3), Events: with(9)})
	var conflict *store.VersionConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 8 {
		f.Errorf("a new event at a wrong version: %v", err)
	}
	if got := len(f.read()); got != 8 {
		f.Errorf("the log has %d events, want 8", got)
	}
}

func appendCancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.append(ctx, store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: events(1),
	}); err == nil {
		f.Error("an append with a cancelled context reports success")
	}
	if got := f.read(); len(got) != 0 {
		f.Errorf("the log is %s", summary(got))
	}
	f.appendTo(stream("a"), 1) // the store goes on
}
