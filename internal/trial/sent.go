package trial

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/pupwasm/pupwasm/store"
)

// Sent collects what runs send: the messages of events whose rows are committed, whatever becomes of them in the outbox.
// The zero value is ready to use.
type Sent struct {
	mu       sync.Mutex
	messages []store.Message // in the order in which they were committed
}

func (s *Sent) add(messages []store.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, messages...)
}

// Messages returns them in order of position and index.
func (s *Sent) Messages() []store.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.messages)
	slices.SortStableFunc(all, func(a, b store.Message) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Index, b.Index))
	})
	return all
}

// Differs returns the first message that another run has not sent likewise: as it was in this run, and as it is in the
// other one, "" where it is not there. Messages are compared key by key, in the order in which they were committed, since
// those of different keys are sent in any order.
func (s *Sent) Differs(other *Sent) (was, is string, differs bool) {
	before, after := s.byKey(), other.byKey()
	keys := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		for i := range max(len(before[key]), len(after[key])) {
			if i < len(before[key]) {
				was = MessageText(&before[key][i])
			}
			if i < len(after[key]) {
				is = MessageText(&after[key][i])
			}
			if i >= len(before[key]) || i >= len(after[key]) || !sameMessage(&before[key][i], &after[key][i]) {
				return was, is, true
			}
			was, is = "", ""
		}
	}
	return "", "", false
}

func (s *Sent) byKey() map[string][]store.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]store.Message{}
	for _, m := range s.messages {
		all[string(m.Key)] = append(all[string(m.Key)], m)
	}
	return all
}

func sameMessage(a, b *store.Message) bool {
	return a.MessageID == b.MessageID && a.Type == b.Type && a.Subject == b.Subject && bytes.Equal(a.Key, b.Key) &&
		a.ContentType == b.ContentType && bytes.Equal(a.Data, b.Data)
}

// MessageText is a message in one line.
func MessageText(m *store.Message) string {
	text := fmt.Sprintf("%s subject=%s type=%s key=%s data=%s", m.MessageID, m.Subject, m.Type, strconv.Quote(string(m.Key)),
		dataText(m))
	if runes := []rune(text); len(runes) > rowTextMax {
		return string(runes[:rowTextMax-1]) + "…"
	}
	return text
}

// dataText is the data of a message in one line.
func dataText(m *store.Message) string {
	of := store.MessageType{ContentType: m.ContentType}
	switch of.DataKind() {
	case store.KindJSON:
		var line bytes.Buffer
		if json.Compact(&line, m.Data) == nil {
			return line.String()
		}
	case store.KindBytes:
		return hex.EncodeToString(m.Data)
	}
	return strconv.Quote(string(m.Data))
}

// sentTables are tables that tell what is sent by what is committed in them.
type sentTables struct {
	store.Tables

	sent *Sent
}

// Apart returns the tables for a log that is elsewhere, which tell the same.
func (t sentTables) Apart() store.Tables { return sentTables{t.Tables.Apart(), t.sent} }

// Install returns a catalogue whose transactions tell what is sent.
func (t sentTables) Install(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	return t.wrap(t.Tables.Install(ctx, p, segments))
}

// InstallBeside does what Install does.
func (t sentTables) InstallBeside(ctx context.Context, p *store.Projection, segments int) (store.Catalogue, error) {
	return t.wrap(t.Tables.InstallBeside(ctx, p, segments))
}

func (t sentTables) wrap(catalogue store.Catalogue, err error) (store.Catalogue, error) {
	if err != nil {
		return nil, err
	}
	return sentCatalogue{catalogue, t.sent}, nil
}

type sentCatalogue struct {
	store.Catalogue

	sent *Sent
}

// Begin begins a transaction that tells what is sent.
func (c sentCatalogue) Begin(claim store.Claim) store.Tx {
	return sentTx{c.Catalogue.Begin(claim), c.sent}
}

type sentTx struct {
	store.Tx

	sent *Sent
}

// Commit tells what is sent by what is committed.
func (t sentTx) Commit(ctx context.Context, commit store.Commit) error {
	err := t.Tx.Commit(ctx, commit)
	if err == nil {
		t.sent.add(commit.Messages)
	}
	return err
}

// Retry does what Commit does.
func (t sentTx) Retry(ctx context.Context, retry store.Retry) (bool, error) {
	unparked, err := t.Tx.Retry(ctx, retry)
	if err == nil {
		t.sent.add(retry.Messages)
	}
	return unparked, err
}
