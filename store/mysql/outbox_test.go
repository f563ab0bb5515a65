package mysql_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbserver"
	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// aMessage is a message of an event.
func aMessage(of store.ProjectionID, position int64, index int, key string) store.Message {
	return store.Message{
		MessageID: store.MessageID{Projection: of.Name, Version: of.Version, Position: position, Index: index},
		Type:      "changed", Subject: "shop.changed", Key: []byte(key), ContentType: "application/json", Data: []byte(`{}`),
		Spread: store.Spread(store.PartitionHashOf([]byte(key))), Time: time.UnixMicro(position),
	}
}

// sends has the rig's projection send.
func (r *rig) sends() {
	r.Helper()
	must(r, r.store.BeginSending(r.Context(), ledger(), r.claim.Applied.Log, 0))
}

// emit commits mutations and messages.
func (r *rig) emit(messages []store.Message, mutations ...store.Mutation) error {
	tx := r.catalogue.Begin(r.claim)
	defer tx.Rollback()
	through := r.claim.Position + 1
	err := tx.Commit(r.Context(), store.Commit{
		Through: through, Steps: r.folder.Fold(mutations), Log: r.claim.Applied.Log, Messages: messages,
	})
	if err == nil {
		r.claim.Position = through
	}
	return err
}

// fill puts messages of the rig's projection in, whose keys an expression says.
func (r *rig) fill(from, to int, key string) {
	r.Helper()
	execute(r, r.db, fmt.Sprintf("INSERT INTO pupwasm__outbox (projection, position, n, version, type, subject, `key`, "+
		"spread, content_type, data, trace_parent, event_at, put_at, size, held) SELECT 'ledger', seq, 0, 1, 'a', 'b', %s, "+
		"0, 'c', '', '', 0, 1, 300, FALSE FROM seq_%d_to_%d", key, from, to))
}

// rowsRead is how many rows the server, which is the test's alone, reads for something.
func (r *rig) rowsRead(do func()) int {
	r.Helper()
	read := func() int {
		r.Helper()
		rows, err := strconv.Atoi(queryText(r, r.db, "SHOW GLOBAL STATUS LIKE 'Rows_read'")[0][1])
		must(r, err)
		return rows
	}
	before := read()
	do()
	return read() - before
}

// ownServerRig is a rig on a server of its own, that sends.
func ownServerRig(t *testing.T) *rig {
	t.Helper()
	server, err := mariadbserver.Start()
	must(t, err)
	t.Cleanup(server.Stop)
	at := mariadbtest.On(t, server)
	at.Migrate(t, "pupwasm")
	r := newRig(t, at, at.URL, mysql.Options{})
	r.sends()
	return r
}

func ids(all []store.OutboxMessage) (ids []store.OutboxID) {
	for i := range all {
		ids = append(ids, all[i].ID())
	}
	return ids
}

// TestCommit_manyMessages has messages that take several statements, and several texts, beside rows.
func TestCommit_manyMessages(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	r.sends()
	var messages []store.Message
	for i := range 6000 {
		m := aMessage(ledger().ID(), 1, i, fmt.Sprint("key ", i))
		switch {
		case i%1000 == 999:
			m.Data = bytes.Repeat([]byte{0xff, byte(i)}, store.MessageBytesMax/2)
		case i%100 == 0:
			m.Data = bytes.Repeat([]byte{'\'', byte(i)}, 10_000)
		}
		messages = append(messages, m)
	}
	must(t, r.emit(messages, add("a", 1), file(1, bytes.Repeat([]byte("x"), 1<<20))))
	r.want("a 1")
	all, err := r.store.Pending(t.Context(), "ledger", 10_000, 1<<30)
	must(t, err)
	if len(all) != len(messages) {
		t.Fatalf("%d messages are pending, want %d", len(all), len(messages))
	}
	for i := range all {
		if all[i].Index != i || !bytes.Equal(all[i].Data, messages[i].Data) {
			t.Fatalf("message %d is %d, of %d bytes", i, all[i].Index, len(all[i].Data))
		}
	}
	must(t, r.store.Sent(t.Context(), ids(all), false))
	wantText(t, r.db, "SELECT count(*) FROM pupwasm__outbox", "0")
}

// TestCommit_whatIsWrongWithTheOutbox is not the module's fault, and nothing is written.
func TestCommit_whatIsWrongWithTheOutbox(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	r.sends()
	execute(t, r.db, "ALTER TABLE pupwasm__outbox ADD CONSTRAINT by_hand CHECK (n > 0)")
	var refused *store.RejectedError
	err := r.emit([]store.Message{aMessage(ledger().ID(), 1, 0, "a")}, add("a", 1))
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "by_hand") {
		t.Errorf("got %v", err)
	}
	r.want("")
	must(t, r.emit([]store.Message{aMessage(ledger().ID(), 1, 1, "a")}, add("a", 1)))
	r.want("a 1")
}

// TestPending_behindAKeyThatWaits has very many messages of one key wait, before and after others: who looks for what
// may be sent passes each of them a few times, and not every time. When the first one is sent, they come in order.
func TestPending_behindAKeyThatWaits(t *testing.T) {
	t.Parallel()
	const many = 30_000
	r := ownServerRig(t)
	pending := func(limit int) []store.OutboxMessage {
		t.Helper()
		all, err := r.store.Pending(t.Context(), "ledger", limit, 1<<30)
		must(t, err)
		return all
	}
	r.fill(1, many, "'bad'")
	r.fill(many+1, many+100, "CONCAT('good ', seq)")
	first := pending(1)
	must(t, r.store.Undelivered(t.Context(), []store.Undelivered{
		{OutboxID: first[0].ID(), Key: first[0].Key, Error: "down", RetryAfter: -1},
	}))
	for range 5 {
		if all := pending(10); len(all) != 10 || all[0].Position != many+1 {
			t.Fatalf("%d are pending", len(all))
		}
	}
	r.fill(many+101, many+200, "IF(seq % 2, 'bad', 'good')")
	if all := pending(200); len(all) != 150 {
		t.Errorf("%d are pending, want 150", len(all))
	}
	if rows := r.rowsRead(func() { pending(10) }); rows > 2000 {
		t.Errorf("%d rows are read to find 10 messages", rows)
	}
	must(t, r.store.Sent(t.Context(), ids(first), false))
	last := int64(1)
	for range 4 {
		all := pending(3000)
		for i := range all {
			if last++; all[i].Position != last {
				t.Fatalf("message %d comes behind %d", all[i].Position, last-1)
			}
		}
		must(t, r.store.Sent(t.Context(), ids(all), false))
	}
	status, err := r.store.OutboxStatus(t.Context())
	must(t, err)
	if status[0].FailedKeys != 0 || status[0].Pending != many+200-12_001 {
		t.Errorf("the status is %+v", status)
	}
}

// TestPending_whatWasPutAsideStaysInOrder has messages of a key come while those before them, which waited, are sent.
func TestPending_whatWasPutAsideStaysInOrder(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	r.sends()
	next := func() {
		t.Helper()
		must(t, r.emit([]store.Message{aMessage(ledger().ID(), r.claim.Position+1, 0, "k")}))
	}
	pending := func(limit int, want ...int64) []store.OutboxMessage {
		t.Helper()
		all, err := r.store.Pending(t.Context(), "ledger", limit, 1<<30)
		must(t, err)
		var got []int64
		for i := range all {
			got = append(got, all[i].Position)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pending are %d, want %d", got, want)
		}
		return all
	}
	for range 4 {
		next()
	}
	first := pending(1, 1)
	failed := func(id store.OutboxID, again time.Duration) {
		t.Helper()
		must(t, r.store.Undelivered(t.Context(), []store.Undelivered{{OutboxID: id, Error: "down", RetryAfter: again}}))
	}
	failed(first[0].ID(), -1)
	pending(9)
	must(t, r.store.Sent(t.Context(), ids(first), true))
	next()
	must(t, r.store.Sent(t.Context(), ids(pending(2, 2, 3)), false))
	next()
	must(t, r.store.SkipMessage(t.Context(), pending(9, 4, 5, 6)[0].MessageID))
	next()
	pending(9, 5, 6, 7)
	n, err := r.store.Resend(t.Context(), store.MessagesRequest{Projection: "ledger"})
	if must(t, err); n != 1 {
		t.Errorf("%d are sent again", n)
	}
	again := pending(1, 1)
	failed(again[0].ID(), 0)
	must(t, r.store.Sent(t.Context(), ids(pending(9, 1)), false))
	must(t, r.store.Sent(t.Context(), ids(pending(9, 5, 6, 7)), false))
	pending(9)
	wantText(t, r.db, "SELECT count(*) FROM pupwasm__outbox", "0")
	wantText(t, r.db, "SELECT count(*) FROM pupwasm__outbox_failures", "0")
}

// TestOutbox_readsFewRows does with very many messages what is done often, or while commits wait.
func TestOutbox_readsFewRows(t *testing.T) {
	t.Parallel()
	const many = 20_000
	r := ownServerRig(t)
	r.fill(1, many, "CONCAT('key ', seq % 100)")
	next := ledger()
	next.Version = 2
	_, err := r.store.InstallBeside(t.Context(), next, 1)
	must(t, err)
	execute(t, r.db, "UPDATE pupwasm__segments SET position = 7")
	must(t, r.store.Join(t.Context(), store.Worker{Name: "w"}, time.Hour))
	all, err := r.store.Pending(t.Context(), "ledger", 100, 1<<30)
	must(t, err)
	failed := all[99]
	messages := func(request store.MessagesRequest, want int) func() {
		return func() {
			all, err := r.store.Messages(t.Context(), request)
			if must(t, err); len(all) != want {
				t.Errorf("%+v gives %d messages", request, len(all))
			}
		}
	}
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"pending", func() { _, err = r.store.Pending(t.Context(), "ledger", 100, 1<<30) }},
		{"undelivered", func() {
			err = r.store.Undelivered(t.Context(), []store.Undelivered{{OutboxID: failed.ID(), Error: "x", RetryAfter: -1}})
		}},
		{"sent", func() { err = r.store.Sent(t.Context(), ids(all[:50]), false) }},
		{"kept", func() { err = r.store.Sent(t.Context(), ids(all[50:60]), true) }},
		{"deleting", func() { _, err = r.store.DeleteSent(t.Context(), "ledger", 0) }},
		{"relays", func() { _, err = r.store.ClaimRelays(t.Context(), store.Worker{Name: "w"}, nil, "here") }},
		{"relays again", func() { _, err = r.store.ClaimRelays(t.Context(), store.Worker{Name: "w"}, nil, "here") }},
		{"failed", messages(store.MessagesRequest{State: store.MessageFailed}, 1)},
		{"a page", messages(store.MessagesRequest{Projection: "ledger", Limit: 10, After: failed.ID()}, 10)},
		{"a page of all", messages(store.MessagesRequest{Limit: 10, After: failed.ID()}, 10)},
		{"a message", messages(store.MessagesRequest{ID: &failed.MessageID}, 1)},
		{"sent ones", messages(store.MessagesRequest{Projection: "ledger", State: store.MessageSent, Limit: 10}, 0)},
		{"resend", func() {
			_, err = r.store.Resend(t.Context(), store.MessagesRequest{Projection: "ledger", State: store.MessageSent})
		}},
		{"skip", func() { err = r.store.SkipMessage(t.Context(), failed.MessageID) }},
		{"promote", func() { _, err = r.store.Promote(t.Context(), next.ID()) }},
		{"retire", func() { err = r.store.Retire(t.Context(), ledger().ID()) }},
	} {
		rows := r.rowsRead(c.do)
		if must(t, err); rows > 3000 {
			t.Errorf("%s reads %d rows", c.what, rows)
		} else {
			t.Logf("%s reads %d rows", c.what, rows)
		}
	}
}

// TestCommit_messagesBehindAProgram has a program write by itself, and change its session.
func TestCommit_messagesBehindAProgram(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	r := newRig(t, at, at.URL, mysql.Options{})
	r.sends()
	tx, handle := r.lent()
	defer tx.Rollback()
	for _, statement := range []string{
		"INSERT INTO " + r.table("total") + " VALUES ('a', 1)", "USE mysql", "SET sql_mode = '', NAMES latin1", "SET @pupwasm_live = 0",
	} {
		_, err := handle.ExecContext(t.Context(), statement)
		must(t, err)
	}
	message := aMessage(ledger().ID(), 1, 0, "ключ")
	message.Data = []byte("жук\xff")
	must(t, tx.Commit(t.Context(), store.Commit{Through: 1, Log: r.claim.Applied.Log, Messages: []store.Message{message}}))
	r.claim.Position = 1
	r.want("a 1")
	all, err := r.store.Pending(t.Context(), "ledger", 10, 1<<20)
	if must(t, err); len(all) != 1 || string(all[0].Key) != "ключ" || string(all[0].Data) != "жук\xff" {
		t.Errorf("pending is %+v", all)
	}
}
