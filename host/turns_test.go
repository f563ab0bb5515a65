package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/store"
)

// asking is a guest whose code has a query, which returns at the end.
func asking(code func(query []byte) []byte) []byte {
	request := abi.AppendArray(abi.AppendQuery(nil, hosttest.QueryTotal, 1), abi.KindText, 0)
	g := &hosttest.Guest{Imports: []hosttest.Import{hosttest.ImportQuery}, Reply: append(hosttest.Reply(), request...)}
	empty := uint32(len(hosttest.Reply()))
	query := hosttest.Code(
		hosttest.I32Const(g.ReplyAddress()+empty), hosttest.I32Const(uint32(len(request))), hosttest.I32Const(0), hosttest.I32Const(0),
		hosttest.Call(0), hosttest.Drop)
	g.Apply = hosttest.Code(code(query), hosttest.Result(g.ReplyAddress(), empty))
	return g.Wasm()
}

func once(query []byte) []byte { return query }

func andTrap(query []byte) []byte { return hosttest.Code(query, hosttest.Unreachable) }

// TestGuest_hasNoTurnWhileItWaits has more guests wait in a query than may run at once, until all of them do.
func TestGuest_hasNoTurnWhileItWaits(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{}), "query.wasm", asking(once))
	guests := host.Turns() + 2
	asked, all := make(chan bool, guests), make(chan bool)
	done := make(chan error)
	for range guests {
		go func() {
			guest := module.NewGuest(0)
			defer guest.Close(context.Background())
			_, err := guest.Apply(t.Context(), make([]store.RecordedEvent, 1), func(query int, arguments []store.Value,
				rows *store.Rows,
			) error {
				if guest.HasTurn() {
					t.Error("a guest has its turn while it waits")
				}
				asked <- true
				<-all
				return emptyQuery(module)(query, arguments, rows)
			})
			done <- err
		}()
	}
	for range guests {
		select {
		case <-asked:
		case err := <-done:
			t.Fatalf("a guest ended before it asked: %v", err)
		}
	}
	close(all)
	for range guests {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestGuest_moreThanMayRunAtOnceComeToTheirEnd has guests that loop until they are not wanted, and one that
// must have its turn beside them.
func TestGuest_moreThanMayRunAtOnceComeToTheirEnd(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{Limits: host.Limits{Fuel: endless, BatchTimeout: time.Hour}})
	loop, plain := load(t, runtime, "loop.wasm", looping()), load(t, runtime, "plain.wasm", (&hosttest.Guest{}).Wasm())
	ctx, cancel := context.WithCancel(t.Context())
	var loops []<-chan error
	for range host.Turns() + 2 {
		guest := loop.NewGuest(0)
		defer guest.Close(context.Background())
		loops = append(loops, applying(ctx, guest))
	}
	guest := plain.NewGuest(0)
	defer guest.Close(context.Background())
	for range 20 {
		if err := <-applying(t.Context(), guest); err != nil {
			t.Error(err)
		}
	}
	cancel()
	for _, done := range loops {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, must be the context's", err)
		}
	}
}

// TestGuest_givesItsTurnBack ends calls in every way.
func TestGuest_givesItsTurnBack(t *testing.T) {
	t.Parallel()
	runtime := newRuntime(t, host.Options{Limits: host.Limits{Fuel: 50_000_000}})
	failure := errors.New("the database is away")
	for _, test := range []struct {
		name  string
		wasm  []byte
		query host.Query
		want  string
	}{
		{"out of fuel", looping(), nil, "units of fuel"},
		{"trap", asking(andTrap), nil, "unreachable"},
		{"trap without a query", (&hosttest.Guest{Apply: hosttest.Unreachable}).Wasm(), nil, "unreachable"},
		{"query fails", asking(once), func(int, []store.Value, *store.Rows) error { return failure }, failure.Error()},
		{"query panics", asking(once), func(int, []store.Value, *store.Rows) error { panic(failure) }, failure.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			module := load(t, runtime, "guest.wasm", test.wasm)
			guest := module.NewGuest(0)
			defer guest.Close(context.Background())
			if test.query == nil {
				test.query = emptyQuery(module)
			}
			_, err := guest.Apply(t.Context(), make([]store.RecordedEvent, 1), test.query)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, must say %q", err, test.want)
			}
			if guest.HasTurn() {
				t.Error("the guest keeps its turn")
			}
		})
	}
}

// TestAdapted_followsTheTime has slices shrink and grow within their bounds.
func TestAdapted_followsTheTime(t *testing.T) {
	t.Parallel()
	size := int64(host.SliceFirst)
	for range 20 {
		size = host.Adapted(size, time.Microsecond)
	}
	if size != meter.SliceUnits {
		t.Errorf("short slices grow to %d units, must be %d", size, meter.SliceUnits)
	}
	if same := host.Adapted(size, time.Millisecond); same != size {
		t.Errorf("slices of a good length get %d units, they had %d", same, size)
	}
	for range 20 {
		size = host.Adapted(size, time.Second)
	}
	if size < 1 || size > host.SliceFirst {
		t.Errorf("long slices shrink to %d units", size)
	}
}

// TestGuest_fuelIsTheSameForSlicesOfEverySize has queries take fuel too, up to where it runs out.
func TestGuest_fuelIsTheSameForSlicesOfEverySize(t *testing.T) {
	t.Parallel()
	wasm := asking(func(query []byte) []byte {
		count := hosttest.Code(hosttest.LocalGet(2), hosttest.I32Const(1), hosttest.I32Sub, hosttest.LocalTee(2),
			hosttest.BrIf(0))
		return hosttest.Loop(query, hosttest.I32Const(20_000), hosttest.LocalSet(2), hosttest.Loop(count), hosttest.Br(0))
	})
	for _, fuel := range []int64{200_001, 3_000_000, 3_005_000} {
		module := load(t, newRuntime(t, host.Options{Limits: host.Limits{Fuel: fuel}}), "query.wasm", wasm)
		type outcome struct {
			queries int
			fuel    int64
			reason  string
		}
		outcomes := map[outcome]bool{}
		for _, size := range []int64{1, 1000, 12_345, meter.SliceUnits} {
			guest := module.NewGuest(0)
			defer guest.Close(context.Background())
			queries := 0
			_, err := guest.Apply(t.Context(), nil, func(query int, arguments []store.Value, rows *store.Rows) error {
				queries++
				guest.SliceSize(size)
				return emptyQuery(module)(query, arguments, rows)
			})
			if err == nil || !strings.Contains(err.Error(), "units of fuel") {
				t.Fatalf("error is %v, must be for want of fuel", err)
			}
			outcomes[outcome{queries, guest.Usage().Fuel, err.Error()}] = true
		}
		if len(outcomes) != 1 {
			t.Errorf("with %d units it came to %v, must come to the same in slices of every size", fuel, outcomes)
		}
	}
}

// TestTurns_briefCallsGoFirst has calls of both kinds wait, and gives turns one by one.
func TestTurns_briefCallsGoFirst(t *testing.T) {
	t.Parallel()
	try, await, give, waiting := host.TurnsFor(1)
	if !try() || try() {
		t.Fatal("there is not one turn")
	}
	got := make(chan string)
	wait := func(name string, lengthy bool) {
		before := waiting()
		go func() {
			if err := await(t.Context(), lengthy); err == nil {
				got <- name
			}
		}()
		testwait.Until(t, name+" waits", func() bool { return waiting() > before })
	}
	wait("lengthy", true)
	for n := range 20 {
		wait(fmt.Sprint("brief ", n), false)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(cancelled, false); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	var order []string
	for range 21 {
		give()
		order = append(order, <-got)
	}
	at := slices.Index(order, "lengthy")
	if at < 1 || at > 10 {
		t.Errorf("the lengthy one came at %d of %q", at, order)
	}
	if order = slices.Delete(order, at, at+1); !slices.IsSortedFunc(order, func(a,
		b string,
	) int {
		return len(a) - len(b)
	}) || order[0] != "brief 0" || order[19] != "brief 19" {
		t.Errorf("the brief ones came as %q", order)
	}
	give()
	if !try() || waiting() > 0 {
		t.Error("no turn is left, or somebody waits")
	}
}
