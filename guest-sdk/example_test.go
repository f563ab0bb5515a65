package pup_test

import (
	"fmt"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

// output stands in for the test that a Projection of puptest reports to, which an example does not have.
type output struct{ testing.TB }

func (output) Helper() {}

func (output) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (output) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func printAll(lines []string) {
	for _, line := range lines {
		fmt.Println(line)
	}
}

func Example() {
	users := pup.NewTable("users", pup.Text("user_id").Key(), pup.I64("events").NotNull().Default(0))
	count := users.Upsert("count", pup.Add("events"))
	pup.Register(pup.Projection{
		Name:    "user_counter",
		Version: 1,
		Tables:  []*pup.Table{users},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				count.Row(out, e).Text(e.AggregateID()).I64(1)
			}
			return nil
		},
	})

	p := puptest.New(output{})
	p.Apply(
		puptest.Event{AggregateID: "ada", Type: "UserRegistered"},
		puptest.Event{AggregateID: "bob", Type: "UserRegistered"},
		puptest.Event{AggregateID: "ada", Type: "UserLoggedIn"},
	)
	printAll(p.Rows("users"))
	// Output:
	// user_id=ada events=2
	// user_id=bob events=1
}

func ExampleFold() {
	type door struct {
		open  bool
		times int64
	}
	doors := pup.NewTable("doors", pup.Text("door_id").Key().Partition(), pup.Bool("open"), pup.I64("times_opened"))
	fold := pup.NewFold(doors, pup.FoldFuncs[door]{
		Key:  func(e pup.Event, key *pup.Row) { key.Text(e.AggregateID()) },
		Load: func(row *pup.Rows, d *door) { d.open, d.times = row.Bool(), row.I64() },
		Save: func(row *pup.Row, d *door) { row.Bool(d.open).I64(d.times) },
	})
	pup.Register(pup.Projection{
		Name:    "doors",
		Version: 1,
		Tables:  []*pup.Table{doors},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			return fold.Run(b, out, func(e pup.Event, d *door) error {
				opens := e.Type() == "DoorOpened"
				if opens && !d.open {
					d.times++ // an open door that is opened again does not count
				}
				d.open = opens
				return nil
			})
		},
	})

	p := puptest.New(output{})
	p.Apply(puptest.Event{AggregateID: "front", Type: "DoorOpened"},
		puptest.Event{AggregateID: "back", Type: "DoorOpened"})
	p.Apply(puptest.Event{AggregateID: "front", Type: "DoorOpened"},
		puptest.Event{AggregateID: "back", Type: "DoorClosed"})
	printAll(p.Rows("doors"))
	// Output:
	// door_id=back open=false times_opened=1
	// door_id=front open=true times_opened=1
}

func ExampleEvent_JSON() {
	sales := pup.NewTable("sales", pup.Text("currency").Key(), pup.I64("cents").NotNull().Default(0))
	add := sales.Upsert("add", pup.Add("cents"))
	pup.Register(pup.Projection{
		Name:    "sales",
		Version: 1,
		Tables:  []*pup.Table{sales},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				var cents int64
				var currency string
				payload := e.JSON()
				for field := payload.Object(); field.Next(); {
					switch field.Key() {
					case "total":
						cents = payload.Decimal(2)
					case "currency":
						currency = payload.Text()
					}
				}
				add.Row(out, e).Text(currency).I64(cents)
			}
			return nil
		},
	})

	p := puptest.New(output{})
	p.Apply(puptest.Event{Payload: `{"total":0.1,"currency":"EUR"}`},
		puptest.Event{Payload: `{"currency":"EUR","total":0.2}`})
	printAll(p.Rows("sales"))
	fmt.Println(p.ApplyError(puptest.Event{Payload: `{"total":"a lot"}`}))
	// Output:
	// currency=EUR cents=30
	// json: key "total", offset 9: is a string, not a number of 0 to 18 decimals
}

func ExampleTable_Load() {
	stock := pup.NewTable("stock", pup.Text("article").Key().Partition(), pup.I64("pieces").NotNull().Default(0))
	move := stock.Upsert("move", pup.Add("pieces"))
	load := stock.Load("on_hand", "pieces")
	pup.Register(pup.Projection{
		Name:    "stock",
		Version: 1,
		Tables:  []*pup.Table{stock},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			articles := load.Args(b).Array(b.Len())
			for e := range b.Events() {
				articles.Text(e.AggregateID())
			}
			for rows := load.Run(b); rows.Next(); {
				index, pieces := rows.I64(), rows.I64()
				fmt.Println("event", index, "finds", pieces)
			}
			for e := range b.Events() {
				move.Row(out, e).Text(e.AggregateID()).I64(e.JSON().Int64())
			}
			return nil
		},
	})

	p := puptest.New(output{})
	p.Apply(puptest.Event{AggregateID: "cup", Payload: 5})
	p.Apply(puptest.Event{AggregateID: "pot", Payload: 1}, puptest.Event{AggregateID: "cup", Payload: -2})
	printAll(p.Rows("stock"))
	// Output:
	// event 1 finds 5
	// article=cup pieces=3
	// article=pot pieces=1
}

func ExampleErrorAt() {
	seats := pup.NewTable("seats", pup.Text("seat").Key().Partition(), pup.Text("guest"))
	take := seats.Insert("take")
	pup.Register(pup.Projection{
		Name:    "seats",
		Version: 1,
		Tables:  []*pup.Table{seats},
		Handle: func(b *pup.Batch, out *pup.Mutations) error {
			for e := range b.Events() {
				if e.AggregateID() == "13" {
					return pup.ErrorAt(e, 1, "there is no seat 13")
				}
				take.Row(out, e).Text(e.AggregateID()).Text(string(e.Payload()))
			}
			return nil
		},
	})

	p := puptest.New(output{})
	problem := p.ApplyError(puptest.Event{AggregateID: "12", Payload: "Ada"},
		puptest.Event{AggregateID: "13", Payload: "Bob"})
	fmt.Println(problem.Event, problem.Code, problem.Message)
	// Output: 1 1 there is no seat 13
}
