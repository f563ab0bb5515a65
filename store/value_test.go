package store_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestValue_holdsWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	if !store.Bool(true).Bool() || store.Bool(false).Bool() || store.Bool(true).Kind != store.KindBool {
		t.Error("bool")
	}
	for _, n := range []int64{0, -1, math.MinInt64, math.MaxInt64} {
		if store.I64(n).Int() != n || store.Timestamp(n).Int() != n || store.I64(n).Kind != store.KindI64 ||
			store.Timestamp(n).Kind != store.KindTimestamp {
			t.Errorf("%d", n)
		}
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1.5, math.Inf(-1), math.MaxFloat64} {
		v := store.F64(f)
		if v.Float() != f || v.Bits() != math.Float64bits(f) || store.Word(store.KindF64, v.Bits()).Float() != f {
			t.Errorf("%v", f)
		}
	}
	if string(store.Text("ü").Bytes()) != "ü" || store.BytesOf(store.KindUUID, []byte{1}).Kind != store.KindUUID {
		t.Error("text")
	}
	array := store.ArrayOf(store.KindI64, []store.Value{store.I64(1), store.Null()})
	if !array.Array || len(array.Elements()) != 2 || !array.Elements()[1].IsNull() || array.IsNull() {
		t.Error("array")
	}
	if !store.Null().IsNull() || store.I64(0).IsNull() || store.Text("").IsNull() || !(store.Value{}).IsNull() {
		t.Error("null")
	}
}

func TestType_namesAndAcceptance(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"bool", "i64", "f64", "numeric", "text", "bytes", "json", "timestamptz", "uuid",
		"i64[]", "json[]",
	} {
		parsed, err := store.ParseType(name)
		if err != nil || parsed.String() != name {
			t.Errorf("%s reads as %s, %v", name, parsed, err)
		}
		text, err := parsed.MarshalText()
		var again store.Type
		if err != nil || again.UnmarshalText(text) != nil || again != parsed {
			t.Errorf("%s goes through text as %s, %v", name, again, err)
		}
	}
	for _, bad := range []string{"", "null", "int", "I64", "i64[][]", "[]", " i64"} {
		if _, err := store.ParseType(bad); err == nil || !strings.Contains(err.Error(), "use bool, i64, f64") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	i64, i64s := typed("i64"), typed("i64[]")
	ints := store.ArrayOf(store.KindI64, nil)
	if !i64.Accepts(store.I64(1)) || i64.Accepts(store.F64(1)) || i64.Accepts(ints) || !i64s.Accepts(ints) ||
		i64s.Accepts(store.I64(1)) ||
		!i64.Accepts(store.Null()) || !i64s.Accepts(store.Null()) || i64s.Accepts(store.ArrayOf(store.KindText, nil)) {
		t.Error("a type accepts what it should not, or not what it should")
	}
	if got := store.Kind(200).String(); got != "kind 200" {
		t.Errorf("an unknown kind prints as %s", got)
	}
}

func TestErrors_sayWhatToDo(t *testing.T) {
	t.Parallel()
	stream := store.Stream{BoundedContext: "c", AggregateType: "t", AggregateID: "i"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{
			&store.VersionConflictError{Stream: stream, Expected: store.Exact(3), Actual: 5},
			"version conflict on stream c/t/i: expected version 3, it is at version 5",
		},
		{
			&store.VersionConflictError{Stream: stream, Expected: store.NoStream(), Actual: 1},
			"version conflict on stream c/t/i: expected no stream, it is at version 1",
		},
		{
			&store.VersionConflictError{Stream: stream, Actual: -1},
			"version conflict on stream c/t/i: another append came first",
		},
		{&store.DuplicateEventError{ID: store.UUID{1}}, "event id 01000000-0000-0000-0000-000000000000 is " +
			"stored already"},
		{
			&store.RejectedError{Statement: `write "total"`, Reason: "value out of range"},
			`the database refuses write "total": value out of range`,
		},
		{
			besideLive(1),
			`projection "fines": has version 1 live, and version 2, which the module is, is not installed: a projection without tables of its own has one version at a time: keep version 1, or stop all hosts that run it and use Store.Reset("fines"), after which the next run begins with the first event`,
		},
		{
			besideLive(3),
			`projection "fines": has version 3 live, and version 2, which the module is, is not installed: remove this module and use that of version 3; to go back to what version 2 did, give it a version above 3`,
		},
		{store.StillOwned("fines", "w"), "projection fines is run by worker w: stop that host, or take the module " +
			"out of the folder that it watches, and reset then; a host that was killed counts until its " +
			"lease is over"},
		{store.UnknownProjection("fines"), "projection fines is not known: Store.Status lists those that are"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	var input *store.InputError
	if !errors.As(store.StillOwned("a", "b"), &input) {
		t.Error("an error has another type")
	}
}

// besideLive is the error of version 2 beside a live version, neither of which has tables.
func besideLive(version int) error {
	live := store.Versioned{{Projection: store.Projection{Name: "fines", Version: version}, Live: true}}
	return live.Beside(&store.Projection{Name: "fines", Version: 2}, store.DialectSQLite)
}
