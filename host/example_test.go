package host_test

import (
	"context"
	"fmt"
	"log"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/store"
)

// A module is loaded, says what it is, and turns a batch of events into mutations. Package segments does this
// for every segment of a projection; without it, there is no database.
func Example() {
	ctx := context.Background()
	runtime, err := host.NewRuntime(ctx, host.Options{Limits: host.Limits{MemoryMiB: 16}})
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close(ctx)
	mutation := abi.AppendI64(abi.AppendI64(abi.AppendMutation(nil, 0, 2, 0), 1), 5) // adds 5 to n of row 1
	wasm := (&hosttest.Guest{                                                        // or os.ReadFile("visits.wasm")
		Describe: `{"name":"visits","version":1,"tables":[{"name":"total","key":["id"],"columns":[{"name":"id","type":"i64"},{"name":"n","type":"i64"}]}],
			"ordering":"global","writes":[{"name":"count","action":"upsert","table":"total","columns":[{"name":"n","action":"add"}]}]}`,
		Reply: append(abi.AppendReply(nil, 1, len(mutation)), mutation...),
	}).Wasm()
	module, err := runtime.Load(ctx, "visits.wasm", wasm)
	if err != nil {
		log.Fatal(err) // a *host.LoadError, in one line
	}
	defer module.Close(ctx)
	fmt.Println(module.Description.Name, "version", module.Description.Version)

	guest := module.NewGuest(0)
	defer guest.Close(ctx)
	mutations, err := guest.Apply(ctx, []store.RecordedEvent{{Position: 1}}, nil)
	if err != nil {
		log.Fatal(err) // a *host.Fault, when the module is to blame
	}
	for _, m := range mutations {
		fmt.Println(module.Description.Writes[m.Write].Name, m.Values[0].Int(), m.Values[1].Int())
	}
	// Output:
	// visits version 1
	// count 1 5
}
