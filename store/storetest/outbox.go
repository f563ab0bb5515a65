package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

var outboxCases = []testCase{
	{"messages_are_put_and_pending_in_order", outboxPut},
	{"all_of_a_message_comes_back", outboxWhole},
	{"pending_keeps_to_its_limits", outboxLimits},
	{"a_commit_that_fails_puts_nothing", outboxFails},
	{"a_claim_that_is_lost_puts_nothing", outboxFenced},
	{"what_is_sent_is_deleted", outboxSent},
	{"what_is_sent_is_kept", outboxKept},
	{"what_was_kept_long_enough_is_deleted", outboxDeleteSent},
	{"the_messages_of_a_key_wait_for_one_that_failed", outboxUndelivered},
	{"a_message_that_failed_is_due_again", outboxDue},
	{"many_keys_that_failed_are_due", outboxManyDue},
	{"a_failure_of_a_message_that_is_gone", outboxUndeliveredGone},
	{"keys_are_bytes", outboxKeys},
	{"what_failed_or_was_sent_is_sent_again", outboxResend},
	{"a_message_is_skipped", outboxSkip},
	{"messages_are_listed_in_pages", outboxList},
	{"the_status_counts", outboxStatus},
	{"the_status_of_what_never_sent", outboxStatusNone},
}

// sending is sums in a version, which sends messages.
func sending(version int) *store.Projection {
	p := sums(version)
	p.Messages = []store.MessageType{{Name: "changed", Subject: "sums.{name}"}}
	return p
}

// begin has the live version send what is behind the n-th position.
func (f *fixture) begin(p *store.Projection, after int64) {
	f.Helper()
	f.must(f.store.BeginSending(f.ctx, p, f.logID(), f.at(after)))
}

// sender is a worker of a version of sums; the first one sends from the origin on.
func (f *fixture) sender(version int) *runner {
	f.Helper()
	r := f.senderOf(sending(version), fmt.Sprintf("worker-%d", version))
	f.begin(r.projection, 0)
	return r
}

// senderOf is a worker of a version that may send. It is beside those that are installed, also while nothing is applied.
func (f *fixture) senderOf(p *store.Projection, worker string) *runner {
	f.Helper()
	_, err := f.store.InstallBeside(f.ctx, p, 1)
	f.must(err)
	return f.runningOn(f.store, p, worker)
}

// senders are workers of versions of sums of which the first is live and sends.
func (f *fixture) senders(versions ...int) (all []*runner) {
	f.Helper()
	for _, version := range versions {
		all = append(all, f.sender(version))
	}
	return all
}

// messagesAt are messages of the event at the n-th position, one of each key.
func (r *runner) messagesAt(n int64, keys ...string) (all []store.Message) {
	for i, key := range keys {
		all = append(all, store.Message{
			MessageID: store.MessageID{
				Projection: r.projection.Name, Version: r.projection.Version, Position: r.at(n), Index: i,
			},
			Type: "changed", Subject: "sums.x", Key: []byte(key), ContentType: "application/json",
			Data:   fmt.Appendf(nil, `{"n": %d, "version": %d}`, n, r.projection.Version),
			Spread: store.Spread(store.PartitionHashOf([]byte(key))), Time: time.UnixMicro(1_700_000_000_000_000 + n),
		})
	}
	return all
}

// next is the next position behind the origin.
func (r *runner) next() int64 { return r.claim.Position + 1 - r.origin }

// emit commits the next position with a message of each key.
func (r *runner) emit(keys ...string) {
	r.Helper()
	r.must(r.park(store.Commit{Messages: r.messagesAt(r.next(), keys...)}))
}

// pending returns the messages of sums that may be sent.
func (f *fixture) pending() []store.OutboxMessage {
	f.Helper()
	all, err := f.store.Pending(f.ctx, "sums", 1000, 1<<30)
	f.must(err)
	return all
}

// name is the id of a message with its position behind the origin, and the build where there is one, and its key.
func (f *fixture) name(m *store.OutboxMessage) string {
	version := store.ProjectionID{Version: m.Version, Build: m.Build}.VersionText()
	return fmt.Sprintf("v%s.%d.%d %s", version, m.Position-f.origin, m.Index, m.Key)
}

func (f *fixture) nameAll(all []store.OutboxMessage) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = f.name(&all[i])
	}
	return strings.Join(names, "; ")
}

// wantPending compares the messages of sums that may be sent, such as "v1.1.0 a; v1.2.0 b".
func (f *fixture) wantPending(want string) {
	f.Helper()
	if got := f.nameAll(f.pending()); got != want {
		f.Errorf("pending is %q, want %q", got, want)
	}
}

// messages returns the messages of sums in a state.
func (f *fixture) messages(state store.MessageState) []store.OutboxMessage {
	f.Helper()
	all, err := f.store.Messages(f.ctx, store.MessagesRequest{Projection: "sums", State: state})
	f.must(err)
	return all
}

func (f *fixture) wantMessages(state store.MessageState, want string) {
	f.Helper()
	if got := f.nameAll(f.messages(state)); got != want {
		f.Errorf("%s is %q, want %q", state, got, want)
	}
}

// idsOf are the identities of messages.
func idsOf(all []store.OutboxMessage) (ids []store.OutboxID) {
	for i := range all {
		ids = append(ids, all[i].ID())
	}
	return ids
}

// deliver notes that all that may be sent was sent, and returns what.
func (f *fixture) deliver(keep bool) string {
	f.Helper()
	all := f.pending()
	f.must(f.store.Sent(f.ctx, idsOf(all), keep))
	return f.nameAll(all)
}

func outboxPut(f *fixture) {
	r := f.sender(1)
	other := f.runningOn(f.store, totals("other"), "other")
	f.begin(other.projection, 0)
	other.emit("a")
	f.wantPending("")
	r.emit("a")
	r.emit("b", "a", "c")
	r.emit()
	r.emit("a")
	f.wantPending("v1.1.0 a; v1.2.0 b; v1.2.1 a; v1.2.2 c; v1.4.0 a")
	f.wantMessages(store.MessagePending, "v1.1.0 a; v1.2.0 b; v1.2.1 a; v1.2.2 c; v1.4.0 a")
	several := store.Commit{Messages: append(r.messagesAt(5, "x"), r.messagesAt(6, "y", "z")...)}
	several.Through, several.Log = r.claim.Position+3, r.claim.Applied.Log
	tx := r.catalogue.Begin(r.claim)
	f.must(tx.Commit(f.ctx, several))
	tx.Rollback()
	if got := f.nameAll(f.pending()[5:]); got != "v1.5.0 x; v1.6.0 y; v1.6.1 z" {
		f.Errorf("of three positions in one commit there is %q", got)
	}
	if all, err := f.store.Pending(f.ctx, "nothing", 9, 9); err != nil || len(all) > 0 {
		f.Errorf("of a projection that is not there: %+v, %v", all, err)
	}
}

// outboxWhole has messages with whatever they may have.
func outboxWhole(f *fixture) {
	r := f.sender(1)
	messages := r.messagesAt(1, "plain", "", "\xff\x00\xfe'\\", strings.Repeat("\x00", store.KeyBytesMax), "ключ-🗝")
	messages[1].Data, messages[1].ContentType = []byte{}, "application/octet-stream"
	messages[2].Data, messages[2].ContentType = []byte{0, 0xff, 0x27, 0x5c, 0}, "text/plain; charset=utf-8"
	messages[3].Data = bytes.Repeat([]byte{0xff, 0}, store.MessageBytesMax/2)
	messages[3].Subject = strings.Repeat("s", store.SubjectBytesMax)
	messages[4].Type, messages[4].Data = "com.example.order/paid:v1", []byte(`{"name": "Жук 🪲"}`)
	messages[4].TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	messages[4].Time = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	messages[3].Spread, messages[4].Spread = 0, 1<<32-1
	f.must(r.park(store.Commit{Messages: messages}))
	pending, listed := f.pending(), f.messages("")
	if len(pending) != len(messages) || len(listed) != len(messages) {
		f.Fatalf("%d are pending and %d listed, want %d", len(pending), len(listed), len(messages))
	}
	for i := range messages {
		for _, got := range []store.OutboxMessage{pending[i], listed[i]} {
			want := store.OutboxMessage{Message: messages[i], State: store.MessagePending, PutAt: got.PutAt}
			if time.Since(got.PutAt).Abs() > time.Hour {
				f.Errorf("message %d was put in at %s", i, got.PutAt)
			}
			if got.Time.Equal(want.Time) {
				got.Time = want.Time
			}
			if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
				f.Errorf("message %d is\n%.300s\nwant\n%.300s", i, g, w)
			}
		}
	}
}

func outboxLimits(f *fixture) {
	r := f.sender(1)
	sizes := []int{0}
	for i := range 6 {
		m := r.messagesAt(r.next(), fmt.Sprint("key", i))
		m[0].Data = make([]byte, 1000)
		sizes = append(sizes, sizes[i]+m[0].Size())
		f.must(r.park(store.Commit{Messages: m}))
	}
	for _, c := range []struct{ messages, bytes, want int }{
		{1, 1 << 30, 1},
		{4, 1 << 30, 4},
		{6, 1 << 30, 6},
		{100, 1 << 30, 6},
		{100, sizes[3], 3},
		{100, sizes[3] - 1, 2},
		{100, sizes[6], 6},
		{2, sizes[3], 2},
		{100, 1, 1},
		{0, 0, 1},
	} {
		all, err := f.store.Pending(f.ctx, "sums", c.messages, c.bytes)
		f.must(err)
		if len(all) != c.want || len(all) > 0 && all[0].Position != f.at(1) {
			f.Errorf("%d messages of %d bytes: %s, want the first %d", c.messages, c.bytes, f.nameAll(all), c.want)
		}
	}
}

func outboxFails(f *fixture) {
	r := f.sender(1)
	r.apply(put("a", 1))
	duplicate := mutate(totalsFail, store.Text("a"), store.I64(1))
	if err := r.park(store.Commit{Messages: r.messagesAt(r.next(), "a")}, duplicate); err == nil {
		f.Error("a row that is there is inserted")
	}
	f.wantMessages("", "")
	r.parkAt("k")
	if _, err := r.retry(store.Retry{
		Key: []byte("k"), Through: f.at(2), Messages: r.messagesAt(2, "k"),
	}, duplicate); err == nil {
		f.Error("a row that is there is inserted by a retry")
	}
	f.wantMessages("", "")
}

func outboxFenced(f *fixture) {
	r := f.sender(1)
	r.parkAt("k")
	for name, change := range map[string]func(c *store.Claim){
		"an older epoch":  func(c *store.Claim) { c.Epoch-- },
		"another worker":  func(c *store.Claim) { c.Worker = "worker-9" },
		"another segment": func(c *store.Claim) { c.Segment = 7 },
	} {
		stale := *r
		change(&stale.claim)
		if err := stale.park(store.Commit{Messages: r.messagesAt(2, "a")}); err == nil {
			f.Errorf("%s: a commit works", name)
		}
		if _, err := stale.retry(store.Retry{
			Key: []byte("k"), Through: f.at(1), Messages: r.messagesAt(1, "k"),
		}); err == nil {
			f.Errorf("%s: a retry works", name)
		}
	}
	f.wantMessages("", "")
	unparked, err := r.retry(store.Retry{Key: []byte("k"), Through: f.at(1), Messages: r.messagesAt(1, "k")})
	f.must(err)
	r.emit("a")
	f.wantPending("v1.1.0 k; v1.2.0 a")
	if !unparked {
		f.Error("the key is parked still")
	}
}

// resetSums resets sums, of which runners give up what they have.
func (f *fixture) resetSums(runners ...*runner) {
	f.Helper()
	for _, r := range runners {
		f.must(f.store.Leave(f.ctx, store.Worker{Name: r.claim.Worker}))
	}
	f.must(f.store.Reset(f.ctx, "sums"))
}
