package store_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/store"
)

func TestIsSubject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"shop": true, "shop.orders.C-7_x.paid": true, "shop.%00.a%2Eb": true, "s.1": true,
		strings.Repeat("s", store.SubjectBytesMax): true, strings.Repeat("s", store.SubjectBytesMax+1): false,
		"": false, ".": false, "a.": false, "a..b": false, ".a": false, "1a": false, "$JS.API": false, "_INBOX.x": false,
		"%61": false, "a.*": false, "a.>": false, "a b": false, "a.b\r\nPUB": false, "a.ö": false, "a.\xff": false, "a.\x00": false,
	} {
		if got := store.IsSubject(text); got != want {
			t.Errorf("%.40q is a subject: %v, must be %v", text, got, want)
		}
	}
}

// TestSubjectToken_isOneTokenOfItsOwn gives it any text: the result is one token, and other texts have others.
func TestSubjectToken_isOneTokenOfItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ".", "*", ">", "a b", "%00", "%2E"})).Draw(t, "a")
		b := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ".", "*", ">", "a b", "%00", "%2E"})).Draw(t, "b")
		one, other := store.SubjectToken(a), store.SubjectToken(b)
		if len(one) <= 500 && (!store.IsSubject("x."+one) || strings.Contains(one, ".")) {
			t.Fatalf("%q becomes %q", a, one)
		}
		if (one == other) != (a == b) && !strings.Contains(a+b, "\x00") {
			t.Fatalf("%q and %q become %q and %q", a, b, one, other)
		}
	})
}
