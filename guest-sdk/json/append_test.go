package json_test

import (
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// FuzzAppendString reads what was written, with Go's package and with this one.
func FuzzAppendString(f *testing.F) {
	for _, text := range []string{"", "a", "\x00\x1f\"\\/\x7f", "žltý kôň 🐎\u2028", "\xff\xed\xa0\x80", "\ufffd", strings.Repeat("x", 300)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		written := json.AppendString([]byte("["), text)
		if written[0] != '[' {
			t.Fatalf("%q was not appended", written)
		}
		var read string
		if err := stdjson.Unmarshal(written[1:], &read); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		want := string([]rune(text)) // an invalid byte becomes U+FFFD
		if read != want {
			t.Errorf("%s is read as %q, want %q", written, read, want)
		}
		r := json.NewReader(written[1:])
		if got := r.Text(); got != want || r.Err() != nil {
			t.Errorf("%s is read as %q, want %q, error %v", written, got, want, r.Err())
		}
	})
}

func TestAppendString_allocatesNothing(t *testing.T) {
	room := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { json.AppendString(room, `a "b"`) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
