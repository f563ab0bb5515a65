package store_test

import (
	"slices"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]store.ProjectionID{
		"1":            {Name: "sums", Version: 1},
		"99999999":     {Name: "sums", Version: 99_999_999},
		"1b2":          {Name: "sums", Version: 1, Build: 2},
		"99999999b999": {Name: "sums", Version: 99_999_999, Build: 999},
	} {
		id, ok := store.ParseVersion("sums", text)
		if !ok || id != want {
			t.Errorf("%q is %v, %t", text, id, ok)
		}
		if id.VersionText() != text {
			t.Errorf("%q is written as %q", text, id.VersionText())
		}
		if got := store.NumberedID("sums", id.Number()); got != id {
			t.Errorf("the number %d of %v is that of %v", id.Number(), id, got)
		}
	}
	for _, text := range []string{
		"", "0", "+3", "-3", " 3", "3 ", "03", "1.0", "100000000", "b2", "1b", "1b0", "1b1", "1b+2", "1b02", "1b1000", "1b2b3",
		"1B2", "v1", "0x1", "1_0", "١",
	} {
		if id, ok := store.ParseVersion("sums", text); ok {
			t.Errorf("%q is taken for %v", text, id)
		}
	}
}

func TestCompareProjectionIDs_ordersBuildsWithinTheirVersion(t *testing.T) {
	t.Parallel()
	ids := []store.ProjectionID{
		{Name: "b", Version: 1},
		{Name: "a", Version: 2},
		{Name: "a", Version: 1, Build: 3},
		{Name: "a", Version: 1},
		{Name: "a", Version: 1, Build: 2},
	}
	slices.SortFunc(ids, store.CompareProjectionIDs)
	var got []string
	for _, id := range ids {
		got = append(got, id.Name+"@"+id.VersionText())
	}
	if want := []string{"a@1", "a@1b2", "a@1b3", "a@2", "b@1"}; !slices.Equal(got, want) {
		t.Errorf("they are in the order %q, want %q", got, want)
	}
}
