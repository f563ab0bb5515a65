package host_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
)

// TestGuest_repliesAreBounded has replies that are one beyond each limit, and as large as it.
func TestGuest_repliesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{
		MutationsMax: 3, ValuesMax: 10,
		ReplyBytesMax: 400,
	}})
	counts := func(n int) []byte {
		var mutations [][]byte
		for range n {
			mutations = append(mutations, hosttest.Count(0, "a", 1))
		}
		return hosttest.Reply(mutations...)
	}
	put := func(tags int) []byte { // nine values, and the elements of the last
		out := abi.AppendBytes(abi.AppendMutation(nil, hosttest.WritePut, 9, 0), abi.KindText, "a")
		for range 7 {
			out = abi.AppendNull(out)
		}
		out = abi.AppendArray(out, abi.KindText, tags)
		for range tags {
			out = abi.AppendNull(out)
		}
		return hosttest.Reply(out)
	}
	for name, test := range map[string]struct {
		reply []byte
		want  string
	}{
		"mutations":         {counts(3), ""},
		"mutations, more":   {counts(4), "a reply has 4 mutations, the limit is 3: make batches smaller"},
		"values":            {put(1), ""},
		"elements, more":    {put(2), "a reply has more than 10 values: make batches smaller"},
		"bytes, more":       {hosttest.Reply(hosttest.Count(0, strings.Repeat("a", 400), 1)), "bytes, the limit is 400"},
		"mutations, a bomb": {append(abi.AppendReply(nil, 1<<20, 8<<20), make([]byte, 8<<20)...), "bytes, the limit is 400"},
	} {
		module := load(t, r, "x.wasm", (&hosttest.Guest{Reply: test.reply}).Wasm())
		guest := module.NewGuest(0)
		_, err := guest.Apply(t.Context(), shopEvents(1, 1), nil)
		guest.Close(t.Context())
		var fault *host.Fault
		switch {
		case test.want == "" && err != nil, test.want != "" &&
			(!errors.As(err, &fault) || !strings.Contains(fault.Reason, test.want)):
			t.Errorf("%s: error is %v, must say %q", name, err, test.want)
		}
	}
}

// TestGuest_replyBytesTakeFuel gives a guest fuel for its code and not for what it returns.
func TestGuest_replyBytesTakeFuel(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{CacheDir: compiled, Limits: host.Limits{Fuel: 50_000}})
	module := load(t, r, "x.wasm", (&hosttest.Guest{Reply: hosttest.Reply(hosttest.Count(0,
		strings.Repeat("a", 5000), 1))}).Wasm())
	guest := module.NewGuest(0)
	defer guest.Close(t.Context())
	_, err := guest.Apply(t.Context(), shopEvents(1, 1), nil)
	var fault *host.Fault
	if !errors.As(err, &fault) || !strings.Contains(fault.Reason,
		"bytes, too large for the fuel that was left: used more than 50000 units of fuel") {
		t.Errorf("error is %v", err)
	}
}
