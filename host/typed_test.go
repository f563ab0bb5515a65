package host_test

import (
	"fmt"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/store"
)

// TestTyped_costsWhatHandWrittenReadersCost compares the readers that 'pupwasm gen events' writes with fine_balance.
func TestTyped_costsWhatHandWrittenReadersCost(t *testing.T) {
	t.Parallel()
	for _, compiler := range []guestbuild.Compiler{guestbuild.TinyGo, guestbuild.Go} {
		t.Run(string(compiler), func(t *testing.T) {
			t.Parallel()
			var fuel [2]float64
			var rows [2]string
			for i, example := range []string{"fine_balance", "testdata/fine_balance_typed"} {
				module := load(t, newRuntime(t, host.Options{}), "fines.wasm", guestbuild.Example(t, compiler, example))
				guest := module.NewGuest(0)
				defer guest.Close(t.Context())
				mutations, err := guest.Apply(t.Context(), fineEvents(1, benchEvents), nil)
				if err != nil {
					t.Fatal(err)
				}
				fuel[i], rows[i] = float64(guest.Usage().Fuel), mutationsText(mutations)
			}
			if ratio := fuel[1] / fuel[0]; ratio > 1.2 {
				t.Errorf("the generated readers take %.2f times the fuel", ratio)
			} else {
				t.Logf("the generated readers take %.2f times the fuel", ratio)
			}
			if rows[0] != rows[1] || rows[0] == "" {
				t.Error("the rows differ")
			}
		})
	}
}

// mutationsText has what mutations do. They point into the memory of their guest.
func mutationsText(mutations []store.Mutation) string {
	var text []byte
	for _, m := range mutations {
		text = fmt.Appendf(text, "%d of event %d:", m.Write, m.Event)
		for _, value := range m.Values {
			text = value.AppendKeyText(append(text, ' '))
		}
		text = append(text, '\n')
	}
	return string(text)
}

// TestTyped_readsAMillionEventsInConstantMemory sees that generated readers leave nothing to the collector: the fuel of a
// batch stays the same, and so does the memory.
func TestTyped_readsAMillionEventsInConstantMemory(t *testing.T) {
	t.Parallel()
	module := load(t, newRuntime(t, host.Options{Instances: host.InstancesReuse}), "fines.wasm",
		guestbuild.Example(t, guestbuild.TinyGo, "testdata/fine_balance_typed"))
	guest := module.NewGuest(0)
	defer guest.Close(t.Context())
	events := fineEvents(1, benchEvents)
	var first host.Usage
	for batch := range 1_000_000 / benchEvents {
		if _, err := guest.Apply(t.Context(), events, nil); err != nil {
			t.Fatal(err)
		}
		usage := guest.Usage()
		usage.Time = 0
		switch {
		case batch < 2: // the instance begins, and buffers grow
		case batch == 2:
			first = usage
		case usage != first:
			t.Fatalf("batch %d takes %+v, batch 2 took %+v", batch, usage, first)
		}
	}
	t.Logf("each batch of %d takes %+v", benchEvents, first)
}
