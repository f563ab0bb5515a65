package pup_test

import (
	"testing"
	"time"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
)

func TestRow_writesEveryType(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("values", pup.I64("id").Key(), pup.Bool("b"), pup.F64("f"), pup.Numeric("n"), pup.Text("t"),
		pup.Bytes("raw"),
		pup.JSON("j"), pup.Timestamp("at"), pup.UUID("u"), pup.I64("is").Array(), pup.Text("ts").Array(), pup.Numeric(
			"ns").Array())
	put := table.Upsert("put")
	handle := func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			switch e.Index() {
			case 0:
				put.Row(out, e).I64(1).Bool(true).F64(-0.5).Numeric("12.50").Text("žltý kôň").Bytes([]byte{0, 255}).JSON(
					[]byte(`{"a":1}`)).
					Time(time.Date(2024, 2, 29, 1, 2, 3, 4_999, time.UTC)).UUID([16]byte{15: 7}).I64s([]int64{-1, 1}).Texts(
					[]string{"a", ""}).
					Array(3).Scaled(-5, 2).Null().Numeric("7")
			case 1:
				put.Row(out, e).I64(2).Bool(false).Null().Scaled(6259,
					2).TextBytes([]byte("x y")).Null().Null().Timestamp(-1).Null().
					I64s(nil).Null().Array(0)
			case 2:
				put.Row(out, e).I64(3).Null().Null().Scaled(-9223372036854775808,
					18).Date(e.CreatedAt()).Null().Null().Null().Null().
					Array(1).Null().Texts(nil).Null()
			}
		}
		return nil
	}
	p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: handle})
	p.Apply(puptest.Event{}, puptest.Event{}, puptest.Event{})
	p.WantRows("values",
		`id=1 b=true f=-0.5 n=12.50 t="žltý kôň" raw=\x00ff j={"a":1} at=2024-02-29T01:02:03.000004Z u=00000000-0000-0000-0000-000000000007 is=[-1,1] ts=[a,""] ns=[-0.05,null,7]`,
		`id=2 b=false f=null n=62.59 t="x y" raw=null j=null at=1969-12-31T23:59:59.999999Z u=null is=[] ts=null ns=[]`,
		`id=3 b=null f=null n=-9.223372036854775808 t=2024-01-01 raw=null j=null at=null u=null is=[null] ts=[] ns=null`,
	)
}

func TestRow_faultsFailTheBatchAndNameTheWrite(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("things", pup.Text("id").Key(), pup.I64("n"), pup.Text("tags").Array())
	put := table.Upsert("put")
	stray := pup.NewTable("others", pup.I64("n")).Insert("stray")
	paid := pup.NewMessage("paid", "shop.{customer}.paid")
	for _, test := range []struct {
		name, want string
		write      func(out *pup.Mutations, e pup.Event)
	}{
		{
			"type", "write put: value 2 is i64, given is text",
			func(out *pup.Mutations, e pup.Event) { put.Row(out, e).Text("a").Text("b") },
		},
		{
			"too few", "write put: value 2 of 3, i64, is missing",
			func(out *pup.Mutations, e pup.Event) { put.Row(out, e).Text("a") },
		},
		{"too many", "write put: there are more than 3 values", func(out *pup.Mutations, e pup.Event) {
			put.Row(out, e).Text("a").I64(1).Null().Null()
		}},
		{"no array", "write put: value 3 is text[], given is text", func(out *pup.Mutations, e pup.Event) {
			put.Row(out, e).Text("a").I64(1).Text("b")
		}},
		{
			"array", "write put: value 2 is i64, given is an array",
			func(out *pup.Mutations, e pup.Event) { put.Row(out, e).Text("a").I64s(nil) },
		},
		{"element", "write put: value 3 is text[], an element is i64", func(out *pup.Mutations, e pup.Event) {
			put.Row(out, e).Text("a").I64(1).Array(2).Text("x").I64(1)
		}},
		{"too few elements", "write put: value 3 of 3, text[], is missing", func(out *pup.Mutations, e pup.Event) {
			put.Row(out, e).Text("a").I64(1).Array(2).Text("x")
		}},
		{
			"unregistered", "write stray: its table others is not among the Tables of the registered projection: list it there",
			func(out *pup.Mutations, e pup.Event) { stray.Row(out, e).I64(1) },
		},
		{
			"unlisted", "message paid: it is not among the Messages of the registered projection: list it there",
			func(out *pup.Mutations, e pup.Event) { paid.Send(out, e).Text("c1").JSON([]byte("{}")) },
		},
	} {
		// Not parallel: registering a table numbers its writes, and all cases share one.
		t.Run(test.name, func(t *testing.T) {
			handle := func(b *pup.Batch, out *pup.Mutations) error {
				for e := range b.Events() {
					if e.Index() == 1 {
						test.write(out, e)
					} else {
						put.Row(out, e).Text("x").I64(1).Null()
					}
				}
				return nil
			}
			p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: handle})
			problem := p.ApplyError(puptest.Event{}, puptest.Event{}, puptest.Event{})
			if problem.Message != test.want || problem.Event != 1 {
				t.Errorf("%+v", problem)
			}
			p.WantRows("things")
		})
	}
}

func TestRow_growsBeyondAnyReplyBefore(t *testing.T) {
	t.Parallel()
	table := pup.NewTable("texts", pup.I64("id").Key(), pup.Text("t"))
	put := table.Upsert("put")
	large := string(make([]byte, 0)) + string(bytesOf('x', 300_000))
	handle := func(b *pup.Batch, out *pup.Mutations) error {
		for e := range b.Events() {
			put.Row(out, e).I64(e.Position()).Text(large[:e.Position()*100_000])
		}
		if out.Len() != b.Len() {
			t.Errorf("%d rows of %d", out.Len(), b.Len())
		}
		return nil
	}
	p := newProjection(t, pup.Projection{Tables: []*pup.Table{table}, Handle: handle})
	p.Apply(puptest.Event{}, puptest.Event{}, puptest.Event{})
	for i, row := range p.Rows("texts") {
		if want := len("id=1 t=") + (i+1)*100_000; len(row) != want {
			t.Errorf("row %d has %d bytes, want %d", i, len(row), want)
		}
	}
}

func bytesOf(c byte, n int) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = c
	}
	return all
}

func TestAppendDate_agreesWithPackageTime(t *testing.T) {
	t.Parallel()
	day := int64(24 * time.Hour / time.Microsecond)
	for micros := -719_528 * day; micros < 2_932_897*day; micros += 13*day - 1 {
		want := time.UnixMicro(micros).UTC().Format(time.DateOnly)
		if got := string(pup.AppendDate(nil, micros)); got != want {
			t.Fatalf("%d is %s, want %s", micros, got, want)
		}
	}
}
