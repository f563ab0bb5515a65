package typed_test

import (
	"bytes"
	gojson "encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"
	"github.com/pupwasm/pupwasm/guest-sdk/typed/internal/sample/pupevents"
	v1 "github.com/pupwasm/pupwasm/guest-sdk/typed/internal/sample/v1"
	v2 "github.com/pupwasm/pupwasm/guest-sdk/typed/internal/sample/v2"
)

var (
	reader pupevents.Reader
	seen   = func(any, error) {}
	update = flag.Bool("update", false, "write testdata")
)

func init() {
	pup.Register(pup.Projection{
		Name: "sample", Version: 1, Subscription: pup.Subscription{EventTypes: pupevents.Types},
		Fields: pupevents.Fields,
		Handle: func(b *pup.Batch, _ *pup.Mutations) error {
			for e := range b.Events() {
				seen(reader.Read(e))
			}
			return nil
		},
	})
}

// read hands what the generated reader makes of an event to check, which runs while it is valid.
func read(t testing.TB, e puptest.Event, check func(event any, err error)) {
	t.Helper()
	e.BoundedContext, e.AggregateType, e.AggregateID = "Shop", "Order", "7"
	seen = check
	puptest.New(t).Apply(e)
}

func TestReader_upcasts(t *testing.T) {
	for _, c := range []struct {
		event puptest.Event
		want  any
	}{
		{
			puptest.Event{Type: "Placed", Payload: `{"customer":"ann","total":12.5}`},
			&v2.Placed{Customer: v2.Customer{Name: "ann"}, Lines: []v1.Line{{Article: "total", Price: 1250}}},
		},
		{
			puptest.Event{Type: "Placed", Version: 2, Payload: `{"customer":{"name":"ann"},"lines":null}`},
			&v2.Placed{Customer: v2.Customer{Name: "ann"}},
		},
		{puptest.Event{Type: "Cancelled", Payload: ""}, &v2.Revoked{Reason: "unknown"}},
		{puptest.Event{Type: "Noted", Version: 2, Payload: `"a b"`}, &v2.Noted{Words: []string{"a", "b"}}},
		{puptest.Event{Type: "order.revoked", Version: 2, Payload: `{"reason":"late"}`}, &v2.Revoked{Reason: "late"}},
	} {
		read(t, c.event, func(got any, err error) {
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s version %d: %+v, %v", c.event.Type, c.event.Version, got, err)
			}
		})
	}
}

func TestReader_saysWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		event puptest.Event
		want  string
	}{
		{puptest.Event{Type: "Placed", Payload: `{"customer":1}`}, `Placed version 1: json: key "customer", offset 12: is a number, not a string`},
		{puptest.Event{Type: "Placed", Payload: `{"total":1.234}`}, `key "total"`},
		{puptest.Event{Type: "Placed", Payload: `[]`}, `is an array, not an object`},
		{puptest.Event{Type: "Placed", Payload: `{}{}`}, `there is more after the end`},
		{puptest.Event{Type: "Cancelled", Payload: `7`}, `is a number, not an object`},
		{puptest.Event{Type: "Placed", Version: 3, Payload: `{}`}, `Placed has version 3, the module knows 1, 2: build it with all versions of the event`},
		{puptest.Event{Type: "order.revoked", Payload: `{}`}, `order.revoked has version 1`},
		{puptest.Event{Type: "Everything", Payload: `{"int8":128}`}, `key "int8", offset 11: is beyond the range`},
		{puptest.Event{Type: "Everything", Payload: `{"uint16":-1}`}, `key "uint16"`},
		{puptest.Event{Type: "Everything", Payload: `{"uint64":18446744073709551616}`}, `key "uint64"`},
		{puptest.Event{Type: "Everything", Payload: `{"float32":1e39}`}, `key "float32"`},
		{puptest.Event{Type: "Everything", Payload: `{"at":"yesterday"}`}, `key "at", offset 17: is not a time of RFC 3339`},
		{puptest.Event{Type: "Everything", Payload: `{"bytes":"%"}`}, `key "bytes", offset 12: is not base64`},
		{puptest.Event{Type: "Everything", Payload: `{"colour":"red"}`}, `key "colour", offset 15: is no colour`},
	} {
		read(t, c.event, func(_ any, err error) {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.event.Payload, err, c.want)
			}
		})
	}
}

// everything has a value of every kind, beside those that encoding/json leaves out.
func everything() v1.Everything {
	seven, note := int64(7), "gift"
	text := &note
	line := v1.Line{Article: "tea", Price: -5, Note: &note}
	return v1.Everything{
		Text: "a \"quoted\" ü", Currency: "EUR", Yes: true, Int: -1, Int8: -128, Int16: 32767, Int32: -1 << 31, Int64: 1<<63 - 1,
		Uint: 1, Uint8: 255, Uint16: 65535, Uint32: 1<<32 - 1, Uint64: 1<<64 - 1, Float32: 1.5, Float64: 1e300, Price: 1250,
		At: time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC), Bytes: []byte{0, 1, 255}, Raw: []byte(`{"a": [1]}`),
		Colour: v1.Colour{'f', '0', '9'}, Temper: v1.Temper{Good: true}, Line: line, Lines: []v1.Line{line, {}}, Maybe: &seven,
		MaybeLine: &line, Deep: &text, Texts: v1.Texts{"a", ""}, Grid: [][]int32{{1, 2}, {}, nil}, ByName: map[string]v1.Line{"x": line},
		Sums: map[v1.Currency][]v1.Cents{"EUR": {1, 2}, "CHF": {}}, Address: v1.Address{City: "Bern"},
		Tree: v1.Tree{Name: "root", Children: []v1.Tree{{Name: "left", Parent: &v1.Tree{Name: "root"}}}, Named: map[string]v1.Tree{"r": {}}},
	}
}

// TestEverything_isWritten keeps what encoding/json writes of everything in a file, with which the generated schema is
// tested elsewhere: go test ./typed -run Everything -update.
func TestEverything_isWritten(t *testing.T) {
	written, err := gojson.Marshal(everything())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/everything.json", written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile("testdata/everything.json"); err != nil || !bytes.Equal(kept, written) {
		t.Errorf("testdata/everything.json is stale: run this test with -update (%v)", err)
	}
}

func FuzzReader_readsAsEncodingJSON(f *testing.F) {
	full, err := gojson.Marshal(everything())
	if err != nil {
		f.Fatal(err)
	}
	for _, payload := range []string{
		string(full), `{}`, `null`, ``, ` { "text" : "a" , "text" : null } `, `{"line":{"price":1},"line":{"article":"x"}}`,
		`{"maybe":null,"maybe_line":{},"deep":null,"lines":null,"by_name":{"a":null},"tree":{"parent":{"parent":null}}}`,
		`{"at":"2024-02-29T23:59:60+01:30"}`, `{"at":null,"colour":null,"temper":null,"raw":null,"bytes":""}`, `{"int":1e2}`, `{"uint64":1.0}`,
		`{"unknown":{"deep":[1,{"a":[]}]},"city":"x"}`, `{"float64":-0.0}`, `{"price":0.1e1}`, `{"text":"\ud800"}`, `{"by_name":{"a":{},"a":{"price":2}}}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !agreed(payload) {
			t.Skip()
		}
		var want v1.Everything
		wrong := error(nil)
		if len(payload) > 0 {
			wrong = gojson.Unmarshal(payload, &want)
		}
		var number *gojson.UnmarshalTypeError
		read(t, puptest.Event{Type: "Everything", Payload: payload}, func(got any, err error) {
			switch {
			case errors.As(wrong, &number) && strings.HasPrefix(number.Value, "number "):
				// The SDK reads 1.0 and 1e2 as the integers that they are.
			case (err != nil) != (wrong != nil):
				t.Errorf("%s: the reader says %v, encoding/json %v", payload, err, wrong)
			case err == nil && !reflect.DeepEqual(got, &want):
				t.Errorf("%s:\n%+v\n%+v", payload, got, want)
			}
		})
	})
}

// agreed tells whether encoding/json and the reader agree on what a payload means: not where names are in another case,
// texts not UTF-8, objects nested deeply, or a member twice. The reader does not look behind the last member that it
// knows, so that it may read what is no JSON there.
func agreed(payload []byte) bool {
	if !utf8.Valid(payload) || len(payload) > 0 && !gojson.Valid(payload) {
		return false
	}
	names := map[string]bool{}
	addNames(reflect.TypeFor[v1.Everything](), names, map[reflect.Type]bool{})
	tokens := gojson.NewDecoder(bytes.NewReader(payload))
	var within []map[string]bool // by depth, the names of an object so far; nil for an array
	for isName := false; ; {
		token, err := tokens.Token()
		if err != nil {
			return true
		}
		if token, is := token.(string); is && isName {
			innermost := within[len(within)-1]
			if innermost[token] {
				return false
			}
			for name := range names {
				if name != token && strings.EqualFold(name, token) {
					return false
				}
			}
			innermost[token], isName = true, false
			continue
		}
		switch token {
		case gojson.Delim('{'):
			within = append(within, map[string]bool{})
		case gojson.Delim('['):
			within = append(within, nil)
		case gojson.Delim('}'), gojson.Delim(']'):
			within = within[:len(within)-1]
		}
		isName = len(within) > 0 && within[len(within)-1] != nil
		if len(within) >= 60 {
			return false
		}
	}
}

// addNames collects the names of all members.
func addNames(t reflect.Type, names map[string]bool, done map[reflect.Type]bool) {
	if done[t] {
		return
	}
	done[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		addNames(t.Elem(), names, done)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				name = field.Name
			}
			names[name] = true
			addNames(field.Type, names, done)
		}
	}
}

func TestReader_doesNotAllocate(t *testing.T) {
	full := everything()
	full.At = full.At.UTC() // another zone allocates
	payload, err := gojson.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var events []puptest.Event
	for _, e := range []puptest.Event{
		{Type: "Placed", Payload: `{"customer":"ann","total":12.5}`},
		{Type: "Placed", Version: 2, Payload: `{"customer":{"name":"ann"},"lines":[{"article":"x","price":1,"note":"y"},{"article":"z"}]}`},
		{Type: "Everything", Payload: strings.ReplaceAll(string(payload), `"good"`, `"bad"`)},
	} {
		e.BoundedContext, e.AggregateType, e.AggregateID = "Shop", "Order", "7"
		events = append(events, e)
	}
	seen = func(any, error) {}
	for _, c := range []struct {
		name   string
		events []puptest.Event
		upcast float64 // allocations of the upcaster
	}{{"upcast", events[:1], 1}, {"newest", events[1:2], 0}, {"everything", events[2:], 0}} {
		more := slices.Repeat(c.events, 100)
		once, twice := puptest.AllocsPerBatch(t, more...), puptest.AllocsPerBatch(t, slices.Concat(more, more)...)
		if perEvent := (twice - once) / 100; perEvent > c.upcast+0.1 { // the buffer of texts with escapes grows
			t.Errorf("%s: %v allocations an event", c.name, perEvent)
		}
	}
}
