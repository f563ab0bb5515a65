package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSinks_ofProjections sends each projection where its messages belong, or nowhere.
func TestSinks_ofProjections(t *testing.T) {
	t.Parallel()
	in(t, func(w *world) {
		w.put("shop", "k")
		w.put("mail", "k")
		w.put("secret", "k")
		sink := func(target string) Sink { return w.receiver.sink("host", target, 2) }
		mail := sink("mail server")
		sinks := Sinks{Default: sink("the rest"), ByProjection: map[string]Sink{"mail": mail, "letters": mail, "secret": nil}}
		w.host("host", sinks, Options{}).run()
		w.sent("shop")
		w.sent("mail")
		w.put("letters", "k")
		w.put("late", "k")
		w.sent("letters")
		w.sent("late")
		pass(time.Minute)
		var got []string
		all, err := w.store.OutboxStatus(w.Context())
		w.must(err)
		for _, status := range all {
			got = append(got, fmt.Sprintf("%s: %d to %q", status.Projection, status.Pending, status.Target))
		}
		want := []string{
			`late: 0 to "the rest"`, `letters: 0 to "mail server"`, `mail: 0 to "mail server"`, `secret: 1 to ""`,
			`shop: 0 to "the rest"`,
		}
		if !slices.Equal(got, want) {
			w.Errorf("they are sent so: %q", got)
		}
	})
}

// TestNew_options refuses what makes no sense.
func TestNew_options(t *testing.T) {
	t.Parallel()
	var sink Sink = &receiverSink{}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{}, ""},
		{Options{Keep: -1}, "option Keep of the relay must be between 0 and"},
		{Options{Poll: 1}, "option Poll"},
		{Options{RetryMin: 2 * time.Minute}, ""},
		{Options{RetryMin: 2 * time.Hour}, "option RetryMax"},
		{Options{RetryMin: time.Minute, RetryMax: time.Second}, "option RetryMax"},
		{Options{Attempts: -1}, "option Attempts"},
		{Options{Window: -1}, "option Window"},
		{Options{WindowBytes: -1}, "option WindowBytes"},
	} {
		_, err := New(nil, Sinks{Default: sink}, c.options)
		var fault *OptionError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &fault) || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.options, err)
		}
	}
	if _, err := New(nil, Sinks{ByProjection: map[string]Sink{"shop": nil}}, Options{}); err == nil {
		t.Error("a relay without a sink is made")
	}
}
