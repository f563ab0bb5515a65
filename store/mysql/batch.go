package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/go-sql-driver/mysql"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/store"
)

// batch is the text of a transaction of a projection. It is sent when it is complete, in one round trip, or in parts when
// it grows long. The server stops at the first statement that fails, so that nothing behind it is done, nor committed.
//
// Statements of the catalogue have a mark in front of them, a variable of the session, that tells which one has failed.
type batch struct {
	tx       *tx
	conn     *conn
	text     []byte
	begun    bool   // some of it was sent
	items    []item // those that are marked
	base     int64  // the mark of the first: no other batch has one that is near
	bounded  bool   // what is written has a limit of time
	limit    limit
	within   bool // the text is within a bounded block
	calls    int  // of procedures in the text
	explains bool // a rejection names its row
	ours     bool // the module has no part in what is behind the last mark
	refused  item // what the server has refused
}

// item is some rows of a step.
type item struct {
	entry       *statement
	step        *store.Step
	first, rows int
}

const (
	// chunkBytes is about what a statement has, so that the server need not hold more of it at once.
	chunkBytes = 1 << 20
	// textBytes is about what is sent at once. A row that is larger than a chunk is sent alone.
	textBytes = 4 << 20
	// callsMax is how many calls of procedures are sent at once: the server keeps what it needs for each to their end.
	callsMax = 2000
	// marksMax is how many marks a batch may have.
	marksMax = 1 << 24
)

var batchTexts = sync.Pool{New: func() any { return new([]byte) }}

// transact sends what fn adds, as a transaction, and commits. The text begins with a statement that begins it, or that
// checks that it has begun.
func (b *batch) transact(begin string, fn func(b *batch) error) error {
	kept := batchTexts.Get().(*[]byte)
	b.text = append((*kept)[:0], begin...)
	defer func() {
		if *kept = b.text[:0]; cap(*kept) <= 4*textBytes {
			batchTexts.Put(kept)
		}
	}()
	err := fn(b)
	if err == nil {
		b.unbound()
		b.text = append(b.text, "COMMIT"...)
		err = b.send()
	}
	return err
}

// rollback ends the transaction although the context may be over.
func (b *batch) rollback() {
	if !b.begun {
		return
	}
	text := "ROLLBACK"
	if b.bounded {
		text += "; " + unlimited
	}
	if _, err := b.conn.session.exec(context.WithoutCancel(b.conn.ctx), text); err != nil {
		b.conn.broken = true
	}
}

// add adds a statement of ours.
func (b *batch) add(text string, args ...any) error {
	expanded, err := expand(text, args)
	if err == nil {
		b.text = append(append(b.text, expanded...), "; "...)
	}
	return err
}

// addAll adds statements of ours that have their arguments.
func (b *batch) addAll(statements []string) {
	for _, text := range statements {
		b.text = append(append(b.text, text...), "; "...)
	}
}

// steps adds the statements of steps.
func (b *batch) steps(steps []store.Step) error {
	for i := range steps {
		b.bounded = b.bounded || b.tx.catalogue.writes[steps[i].Write].module
	}
	if b.bounded {
		b.limit = b.tx.timeLeft(true)
	}
	for i := range steps {
		if err := b.step(&b.tx.catalogue.writes[steps[i].Write], &steps[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) step(entry *statement, step *store.Step) error {
	for row := 0; row < step.Count; {
		if len(b.text) > textBytes || b.calls >= callsMax || len(b.text) > 0 && isLarge(rowOf(step, row)) {
			if err := b.send(); err != nil {
				return err
			}
		}
		next, err := b.rows(entry, step, row, step.Count)
		if err != nil {
			if before := b.send(); before != nil { // what comes before it is refused first
				return before
			}
			return b.refuse(item{entry: entry, step: step, first: next, rows: 1}, err)
		}
		row = next
	}
	return nil
}

func rowOf(step *store.Step, row int) []store.Value {
	return step.Values[row*step.Width : (row+1)*step.Width]
}

// isLarge reports that a row is larger than a statement should be.
func isLarge(values []store.Value) bool {
	bytes := 0
	for i := range values {
		bytes += len(values[i].Bytes())
		for _, element := range values[i].Elements() {
			bytes += len(element.Bytes())
		}
	}
	return bytes > chunkBytes/2 // bytes may be written as hex
}

// rows adds a statement for rows of a step, from a first one up to an end or until it is long enough, and returns the
// row behind them. After an error of a value that is its row, and the statement has the rows before it.
func (b *batch) rows(entry *statement, step *store.Step, first, end int) (next int, err error) {
	b.bound()
	start := len(b.text)
	marked := entry.procedure == "" || first == 0 || b.explains
	if marked {
		b.mark()
	}
	open := len(b.text)
	if entry.procedure != "" {
		b.text = append(append(b.text, "CALL "...), entry.procedure...)
		end = first + 1
		b.calls++
	}
	b.text = append(b.text, entry.head...)
	for next = first; next < end && len(b.text)-open < chunkBytes; next++ {
		row, values := len(b.text), rowOf(step, next)
		if next > first {
			if isLarge(values) {
				break
			}
			b.text = append(b.text, ',')
		}
		if b.text, err = entry.appendRow(b.text, values); err != nil {
			b.text = b.text[:row]
			break
		}
	}
	if next == first { // with an error
		b.text = b.text[:start]
		return next, err
	}
	b.text = append(append(b.text, entry.tail...), "; "...)
	if marked {
		b.items = append(b.items, item{entry: entry, step: step, first: first, rows: next - first})
	}
	return next, err
}

// appendRow writes a row of values, in the order of the declared parameters.
func (s *statement) appendRow(out []byte, values []store.Value) (_ []byte, err error) {
	out = append(out, '(')
	for i := range values {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendValue(out, s.params[i], values[i], i < s.keys); err != nil {
			return out, errValue{reason: err.Error(), at: i}
		}
	}
	return append(out, ')'), nil
}

// mark adds the mark of the item that is added next.
func (b *batch) mark() {
	if b.base == 0 {
		b.base = b.tx.catalogue.store.batches.Add(1) * marksMax
	}
	b.text = append(b.text, "SET @pupwasm_at = "...)
	b.text = strconv.AppendInt(b.text, b.base+int64(len(b.items)), 10)
	b.text = append(b.text, "; "...)
}

// marked is the item that the server has come to, or nil where it has come to none.
func (b *batch) marked() (found *item, err error) {
	err = b.conn.query("SELECT @pupwasm_at", func(r *row) error {
		if at := r.int64(0) - b.base; b.base > 0 && at >= 0 && at < int64(len(b.items)) {
			found = &b.items[at]
		}
		return nil
	})
	return found, err
}

// bound begins a block whose statements together have a limit of time, if SQL of the module runs in one of them. A lock
// is waited for during half of that time, so that a statement that waits is told from one that runs.
func (b *batch) bound() {
	if b.within || b.limit.left <= 0 {
		return
	}
	b.within = true
	b.text = fmt.Appendf(b.text, "SET max_statement_time = %.6f, innodb_lock_wait_timeout = %d; BEGIN NOT ATOMIC ",
		b.limit.left.Seconds(), max(int(b.limit.left.Seconds()/2), 1))
}

// unbound ends the block.
func (b *batch) unbound() {
	if b.within {
		b.within = false
		b.text = append(b.text, "END; "+unlimited+"; "...)
	}
}

// unlimited takes back the limits of a block.
const unlimited = "SET max_statement_time = DEFAULT, innodb_lock_wait_timeout = 50"

// lockWait is that time: the fences of a transaction may wait so long in front of the statements of the module.
const lockWait = 50 * time.Second

// send sends the text, and returns what the server has against it.
func (b *batch) send() error {
	return b.run(func(ctx context.Context, text string) error {
		_, err := b.conn.session.exec(ctx, text)
		return err
	})
}

// ask sends the text, and reads the row of its last statement.
func (b *batch) ask(read func(r *row)) error {
	return b.run(func(ctx context.Context, text string) error {
		return b.conn.session.query(ctx, text, func(r *row) error {
			read(r)
			return nil
		})
	})
}

func (b *batch) run(send func(ctx context.Context, text string) error) error {
	if len(b.text) == 0 {
		return nil
	}
	ctx := b.conn.ctx
	if b.within {
		patience, cancel := b.limit.patience(ctx, b.tx.catalogue.store.silenceLocked)
		defer cancel()
		ctx = patience
	}
	b.unbound()
	began := clock.Now()
	err := send(ctx, unsafe.String(unsafe.SliceData(b.text), len(b.text)))
	b.text, b.begun, b.calls = b.text[:0], true, 0
	if b.bounded {
		b.limit.spend(clock.Since(began))
	}
	if err == nil {
		return nil
	}
	if gaveUp(err, ctx, b.conn.ctx) {
		b.conn.broken = true
		return b.limit.over(b.ofModule())
	}
	return b.failed(err)
}

// ofModule names the statements of the module that were sent, one of which the server may still be running.
func (b *batch) ofModule() string {
	var names []string
	for i := range b.items {
		if entry := b.items[i].entry; entry.module && !slices.Contains(names, entry.name) {
			names = append(names, entry.name)
		}
	}
	return strings.Join(names, " or ")
}

// failed finds out which statement has failed, and puts its error into the words of package store.
func (b *batch) failed(err error) error {
	var found *item
	switch _, answered := verdictsOn(err); {
	case errors.Is(err, mysql.ErrPktTooLarge) && len(b.items) > 0 && !b.ours: // nothing was sent, and a large row is the last
		found = &b.items[len(b.items)-1]
	case answered:
		var failed error
		if found, failed = b.marked(); failed != nil {
			return failed
		}
	}
	if found == nil {
		return err
	}
	b.refused = *found
	if b.bounded && isNumber(err, erStatementTimeout) {
		return b.limit.over(found.entry.name)
	}
	return b.refuse(*found, err)
}

// refuse puts an error of an item into the words of package store, and explains it.
func (b *batch) refuse(of item, cause error) error {
	err := rejected(of.entry, cause)
	if b.explains {
		b.explain(of, cause, err)
	}
	return err
}
