package storetest

import (
	"bytes"
	"errors"

	"github.com/pupwasm/pupwasm/store"
)

var streamCases = []testCase{
	{"versions_from_first_to_last", streamInterval},
	{"only_the_stream_that_was_named", streamAlone},
	{"a_stream_without_events_does_not_exist", streamMissing},
	{"the_result_is_the_callers", streamOwned},
}

func streamInterval(f *fixture) {
	f.appendTo(stream("a"), 5)
	cases := []struct {
		first, last int64
		want        string
	}{
		{1, 0, "a@1 a@2 a@3 a@4 a@5"},
		{0, 0, "a@1 a@2 a@3 a@4 a@5"},
		{2, 4, "a@2 a@3 a@4"},
		{5, 5, "a@5"},
		{4, 99, "a@4 a@5"},
		{6, 0, ""},
		{6, 9, ""},
		{4, 2, ""},
	}
	for _, c := range cases {
		got, err := f.store.ReadStream(f.ctx, stream("a"), c.first, c.last)
		f.must(err)
		if summary(got) != c.want {
			f.Errorf("versions %d to %d are %q, want %q", c.first, c.last, summary(got), c.want)
		}
	}
}

func streamAlone(f *fixture) {
	others := []store.Stream{
		{BoundedContext: "shop", AggregateType: "order", AggregateID: "a2"},
		{BoundedContext: "shop", AggregateType: "order2", AggregateID: "a"},
		{BoundedContext: "shop2", AggregateType: "order", AggregateID: "a"},
		{BoundedContext: "order", AggregateType: "shop", AggregateID: "a"},
		{BoundedContext: "shop", AggregateType: "order", AggregateID: "A"},
		{BoundedContext: "shop", AggregateType: "order", AggregateID: "a "},
	}
	for i, other := range others {
		f.appendTo(other, i+2)
	}
	f.appendTo(stream("a"), 1)
	for i, other := range others {
		if got := f.versions(other); len(got) != i+2 {
			f.Errorf("%s has %d events, want %d", other, len(got), i+2)
		}
	}
	if got := f.versions(stream("a")); len(got) != 1 {
		f.Errorf("%s has %d events, want 1", stream("a"), len(got))
	}
}

func streamMissing(f *fixture) {
	f.appendTo(stream("a"), 1)
	_, err := f.store.ReadStream(f.ctx, stream("b"), 1, 0)
	if !errors.Is(err, store.ErrStreamNotFound) {
		f.Errorf("got %v", err)
	}
	var input *store.InputError
	if _, err := f.store.ReadStream(f.ctx, store.Stream{}, 1, 0); !errors.As(err, &input) {
		f.Errorf("a stream without a name: %v", err)
	}
}

func streamOwned(f *fixture) {
	f.appendTo(stream("a"), 2)
	first, err := f.store.ReadStream(f.ctx, stream("a"), 1, 0)
	f.must(err)
	kept := bytes.Clone(first[0].Payload)
	for range 3 {
		f.read()
		_, err := f.store.ReadStream(f.ctx, stream("a"), 2, 2)
		f.must(err)
	}
	if !bytes.Equal(first[0].Payload, kept) {
		f.Errorf("a later read changed a payload to %s", first[0].Payload)
	}
}
