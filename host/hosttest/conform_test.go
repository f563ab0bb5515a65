package hosttest_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
)

// subject is a guest on the small host's engine.
func subject(t *testing.T, wasm []byte) hosttest.Subject {
	t.Helper()
	small := &smallHost{engine: newEngine(t, features)}
	return hosttest.Subject{Wasm: wasm, Start: func(ctx context.Context) (hosttest.Instance, error) {
		code, err := small.engine.CompileModule(ctx, wasm)
		if err != nil {
			return nil, err
		}
		return small.start(ctx, code)
	}}
}

func TestCheckGuest(t *testing.T) {
	t.Parallel()
	one := hosttest.Reply(hosttest.Count(0, "a", 1))
	// byCount answers batches without events with none, and others with one mutation.
	byCount := &hosttest.Guest{Reply: append(hosttest.Reply(), one...)}
	none := len(hosttest.Reply())
	withCount := func(other []byte) *hosttest.Guest {
		g := *byCount
		g.Apply = hosttest.Code(
			hosttest.LocalGet(0), hosttest.I32Load(12), hosttest.I32Eqz,
			hosttest.If(hosttest.Result(g.ReplyAddress(), uint32(none)), hosttest.Return),
			other,
			hosttest.Result(g.ReplyAddress()+uint32(none), uint32(len(one))),
		)
		return &g
	}
	empty := hosttest.Result(byCount.ReplyAddress(), uint32(none))
	unless := func(condition ...[]byte) *hosttest.Guest {
		return withCount(hosttest.Code(hosttest.Code(condition...), hosttest.If(empty, hosttest.Return)))
	}
	stateful := unless(hosttest.GlobalGet(0), hosttest.I32Const(1), hosttest.GlobalSet(0))
	stateful.Edit = func(m *hosttest.Module) { m.Global(hosttest.I32, true, hosttest.I32Const(0)) }
	tests := []struct {
		name  string
		guest *hosttest.Guest
		want  string // part of the error; empty: none
	}{
		{"no mutations", &hosttest.Guest{}, ""},
		{"a mutation where there are events", withCount(nil), ""},
		{"a mutation without events", &hosttest.Guest{Reply: one}, "without events"},
		{
			"not a module of ours",
			&hosttest.Guest{Export: func(e hosttest.Export) hosttest.Export { return hosttest.Export{} }}, "exports no",
		},
		{"wrong version", &hosttest.Guest{Version: hosttest.I32Const(2)}, "pup_abi_1"},
		{"description", &hosttest.Guest{Describe: `{"name":"Upper"}`}, "name"},
		{"fixed buffer", &hosttest.Guest{Reserve: hosttest.I32Const(8192)}, "pup_reserve(65536)"},
		{"unaligned", &hosttest.Guest{Reserve: hosttest.I32Const(8196)}, "multiple of 8"},
		{
			"write not in the catalogue", &hosttest.Guest{Reply: hosttest.Reply([]byte("\x09\x00\x00\x00\x00\x00\x00\x00"))},
			"write 9",
		},
		{"trap", withCount(hosttest.Unreachable), "unreachable"},
		{
			"longer header", unless(hosttest.LocalGet(0), hosttest.I32Load16U(6), hosttest.I32Const(32), hosttest.I32Ne),
			"later host",
		},
		{
			"first column", unless(hosttest.LocalGet(0), hosttest.I32Load16U(32), hosttest.I32Const(1), hosttest.I32Ne),
			"the same events give other mutations",
		},
		{"segment", unless(hosttest.LocalGet(0), hosttest.I32Load(20)), "another segment"},
		{"state", stateful, "handled other batches"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := hosttest.CheckGuest(t.Context(), subject(t, test.guest.Wasm()))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want it to say %q", err, test.want)
			}
		})
	}
}

// TestParseDescription_knowsWhatTheHostKnows has every member that a host of this version reads.
func TestParseDescription_knowsWhatTheHostKnows(t *testing.T) {
	t.Parallel()
	const text = `{"name":"every","version":1,"description":"text","ordering":"stream",
		"subscription":{"bounded_contexts":["a"],"aggregate_types":["b"],"event_types":["c"]},
		"partition":{"by":"json","path":["customer","id"]},"columns":["payload"],
		"tables":[{"name":"things","columns":[{"name":"id","type":"text","partition":true},
			{"name":"at","type":"i64","position":true,"not_null":true,"default":0},{"name":"event","type":"uuid","event_id":true},{"name":"made","type":"i64","generated":"at + 1"}],
			"key":["id"],"indexes":[["at"]],"checks":[{"name":"early","sql":{"any":"at < 9"}}]}],
		"views":[{"name":"ids","sql":"SELECT id FROM {things}"}],
		"writes":[{"name":"w","sql":"DELETE FROM {things} WHERE id = $1","params":["text"],"partition_param":1,"unordered":true}],
		"queries":[{"name":"q","sql":{"any":"SELECT 1"},"params":["text"],"results":["i64"],"partition_param":1,"unordered":true}],
		"messages":[{"name":"m","subject":"a.{b}","type":"c","content_type":"text/plain","key":"none"}],
		"limits":{"memory_mib":1,"batch_events":1,"batch_ms":1}}`
	if _, err := hosttest.ParseDescription([]byte(text)); err != nil {
		t.Error(err)
	}
	// The host's own reader must know the same.
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&host.Description{}); err != nil {
		t.Error(err)
	}
}

func TestCheckGuest_startFails(t *testing.T) {
	t.Parallel()
	s := subject(t, (&hosttest.Guest{}).Wasm())
	refused := errors.New("no engine")
	s.Start = func(context.Context) (hosttest.Instance, error) { return nil, refused }
	if err := hosttest.CheckGuest(t.Context(), s); !errors.Is(err, refused) {
		t.Errorf("got error %v, want what Start returned", err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, g := range hosttest.Hostile() {
		if len(g.Wasm) < 10_000 {
			f.Add(g.Wasm)
		}
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		_ = hosttest.Check(wasm) // it must not panic, nor take long
	})
}
