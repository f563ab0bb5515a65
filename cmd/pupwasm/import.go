package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/uuid"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/eventschema"
	"github.com/pupwasm/pupwasm/store"
)

// batchBytesMax bounds what a batch holds in memory and a transaction sends. One event may be larger.
const batchBytesMax = 16 << 20

// eventLine is one line of an import, or one element of an array.
type eventLine struct {
	eventline.Line
	number  int64 // of the line, or of the event in arrays
	line    int64 // in arrays, where it begins
	derived bool  // the id was made from the content
}

// lineFault says that a line is bad, and that the lines after it can be read.
type lineFault struct{ err error }

// Error is what is wrong with the line.
func (e *lineFault) Error() string { return e.err.Error() }

// Unwrap returns the error of its field.
func (e *lineFault) Unwrap() error { return e.err }

// lineSource gives the events of an input, each with an id.
type lineSource struct {
	name    string
	lines   *eventline.Reader
	decoder *eventline.Decoder
	ids     *identities
	newIDs  bool
	schemas *eventschema.Set // of payloads, or nil
}

func newLineSource(name string, lines *eventline.Reader, newIDs bool, schemas *eventschema.Set) *lineSource {
	return &lineSource{
		name: name, lines: lines, decoder: eventline.NewDecoder(lines.PayloadMax), ids: newIdentities(),
		newIDs: newIDs, schemas: schemas,
	}
}

// next returns the next event. The error is io.EOF, or an [*inputError] that names the line and wraps a
// [*lineFault] when the next line can be read.
func (s *lineSource) next() (eventLine, error) {
	text, err := s.lines.Next()
	if errors.Is(err, io.EOF) {
		return eventLine{}, err
	}
	if errors.Is(err, eventline.ErrTooLong) {
		err = &lineFault{err}
	}
	var line eventLine
	if err == nil {
		line.number, line.line = s.lines.Number, s.lines.Line
		if line.Line, err = s.decoder.Decode(text); err != nil {
			if s.lines.Cut && errors.Is(err, eventline.ErrCutOff) {
				err = fmt.Errorf("%w (the input ends within this line: is it complete?)", err)
			}
			err = &lineFault{err}
		}
	}
	if err == nil && s.schemas != nil {
		err = checkPayload(s.schemas, &line.Event)
	}
	if err == nil {
		err = s.identify(&line)
	}
	if errors.Is(err, eventline.ErrCutArray) {
		return line, &inputError{where: s.name, err: err}
	}
	if err != nil {
		return line, &inputError{where: s.lines.Place(s.name, s.lines.Number, s.lines.Line), err: err}
	}
	return line, nil
}

func (s *lineSource) identify(line *eventLine) error {
	switch {
	case line.Event.ID != store.UUID{}:
		if taken := s.ids.claim(line.Event.ID, line.Stream, &line.Event, line.number); taken > 0 {
			return &lineFault{fmt.Errorf("event_id %s is that of another event in %s %d", line.Event.ID, s.lines.Unit(), taken)}
		}
	case s.newIDs:
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		line.Event.ID = store.UUID(id)
	default:
		line.Event.ID = s.ids.derive(line.Stream, &line.Event)
		line.derived = true
	}
	return nil
}

// batch is what one transaction appends.
type batch struct {
	lines []eventLine
	bytes int
	read  int64 // bytes of the input read when the batch was complete
	err   error // why there is no batch: io.EOF or a fault
}

// importer appends an input in batches. One goroutine reads and decodes while the other waits for the database.
type importer struct {
	to          store.Store
	name        string
	lines       *eventline.Reader
	batchEvents int
	newIDs      bool
	schemas     *eventschema.Set // of payloads, or nil
	backoff     *backoff
	bar         *progress

	appended     int64
	skipped      int64
	skippedGuess int64 // of skipped, those without id and time, which may be meant as new
	through      int64 // the last line that is stored
}

// run appends everything. Its errors say which lines are stored.
func (im *importer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan batch, 1)
	go im.produce(ctx, batches)
	for {
		var b batch
		select {
		case b = <-batches:
		case <-ctx.Done(): // a read of standard input may never return
			return im.explain(ctx, ctx.Err(), 0)
		}
		if len(b.lines) > 0 {
			if err := im.append(ctx, b.lines); err != nil {
				return err
			}
			im.bar.set(b.read)
		}
		switch {
		case errors.Is(b.err, io.EOF):
			return nil
		case b.err != nil:
			return im.explain(ctx, b.err, 0)
		}
	}
}

// produce sends batches until the input ends or has a fault. The lines that share a batch with a bad line are
// dropped.
func (im *importer) produce(ctx context.Context, batches chan<- batch) {
	source := newLineSource(im.name, im.lines, im.newIDs, im.schemas)
	for {
		b := im.collect(ctx, source)
		select {
		case batches <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
	}
}

func (im *importer) collect(ctx context.Context, source *lineSource) batch {
	b := batch{lines: make([]eventLine, 0, im.batchEvents)}
	for len(b.lines) < im.batchEvents && b.bytes < batchBytesMax && ctx.Err() == nil {
		line, err := source.next()
		if err != nil {
			b.err = err
			if !errors.Is(err, io.EOF) {
				b.lines = nil
			}
			break
		}
		b.lines = append(b.lines, line)
		b.bytes += len(line.Event.Payload) + len(line.Event.Metadata)
	}
	b.read = im.lines.BytesRead()
	return b
}

// appendTriesMax bounds the tries of an append that others overtake.
const appendTriesMax = 10

func (im *importer) append(ctx context.Context, lines []eventLine) error {
	appends := make([]store.StreamAppend, len(lines))
	for i := range lines {
		appends[i] = store.StreamAppend{
			Stream: lines[i].Stream, Expected: lines[i].Expected,
			Events: []store.Event{lines[i].Event},
		}
	}
	var appended []store.Appended
	var err error
	for race := 0; race == 0 || race < appendTriesMax && overtaken(err); race++ {
		err = im.backoff.do(ctx, func() (err error) {
			appended, err = im.to.AppendBulk(ctx, store.AppendOptions{SkipDuplicates: true}, appends...)
			return err
		})
	}
	if err != nil {
		return im.refused(ctx, err, lines)
	}
	for i := range appended {
		if !appended[i].Skipped() {
			im.appended++
			continue
		}
		im.skipped++
		if lines[i].derived && lines[i].Event.CreatedAt.IsZero() {
			im.skippedGuess++
		}
	}
	im.through = lines[len(lines)-1].number
	return nil
}

// overtaken reports whether another append came first, so that the next try sees its events.
func overtaken(err error) bool {
	var duplicate *store.DuplicateEventError
	var conflict *store.VersionConflictError
	return errors.As(err, &duplicate) || errors.As(err, &conflict) && conflict.Actual < 0
}

// refused says which line the store refused.
func (im *importer) refused(ctx context.Context, err error, lines []eventLine) error {
	first, last := lines[0], lines[len(lines)-1]
	if ctx.Err() != nil || errors.Is(err, store.ErrTransient) {
		return im.explain(ctx, err, last.number)
	}
	where := fmt.Sprintf("%s: within %ss %d to %d", im.name, im.lines.Unit(), first.number, last.number)
	var conflict *store.VersionConflictError
	var duplicate *store.DuplicateEventError
	var input *store.InputError
	at := -1
	switch {
	case errors.As(err, &conflict):
		at = im.conflictIndex(ctx, conflict, lines)
	case errors.As(err, &duplicate):
		at = slices.IndexFunc(lines, func(l eventLine) bool { return l.Event.ID == duplicate.ID })
	case errors.As(err, &input):
	default:
		return im.explain(ctx, fmt.Errorf("%s: %w", where, err), 0)
	}
	if len(lines) == 1 {
		at = 0
	}
	if at >= 0 {
		where = im.lines.Place(im.name, lines[at].number, lines[at].line)
	}
	return im.explain(ctx, &inputError{where: where, err: err}, 0)
}

// conflictIndex finds the event of a version conflict. The store names only the stream and the expected
// version. It replays the stream's lines, or returns -1 when the stream has changed since.
func (im *importer) conflictIndex(ctx context.Context, conflict *store.VersionConflictError, lines []eventLine) int {
	stored, err := im.to.ReadStream(ctx, conflict.Stream, 1, 0)
	if err != nil && !errors.Is(err, store.ErrStreamNotFound) {
		return -1
	}
	known := map[store.UUID]bool{}
	version := int64(0)
	for i := range stored {
		known[stored[i].ID] = true
		version = stored[i].AggregateVersion
	}
	for i := range lines {
		if lines[i].Stream != conflict.Stream || known[lines[i].Event.ID] {
			continue
		}
		known[lines[i].Event.ID] = true
		if lines[i].Expected != store.Any() && lines[i].Expected != store.Exact(version) {
			return i
		}
		version++
	}
	return -1
}

// explain adds to an error what is stored and how to continue. pending is the last line of a transaction whose
// outcome is unknown, or 0.
func (im *importer) explain(ctx context.Context, err error, pending int64) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	stored := "nothing was stored"
	switch {
	case im.through > 0 && pending > 0:
		stored = fmt.Sprintf("%s stored, perhaps up to %s %d", im.storedLines(im.through), im.lines.Unit(), pending)
	case im.through > 0:
		stored = im.storedLines(im.through) + " stored"
	case pending > 0:
		stored = "perhaps " + im.storedLines(pending) + " stored"
	}
	how := "run the same command again"
	var input *inputError
	if errors.As(err, &input) {
		how = "correct the input and " + how
	}
	switch {
	case im.through+pending == 0:
		return fmt.Errorf("%w; %s", err, stored)
	case im.newIDs:
		return fmt.Errorf("%w; %s: leave them out when you go on, --new-ids would double them", err, stored)
	}
	return fmt.Errorf("%w; %s: %s, nothing is doubled", err, stored, how)
}

// storedLines begins a sentence about the lines or events up to one.
func (im *importer) storedLines(through int64) string {
	if through == 1 {
		return im.lines.Unit() + " 1 is"
	}
	return fmt.Sprintf("%ss 1 to %d are", im.lines.Unit(), through)
}
