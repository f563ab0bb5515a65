package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/store"
)

// querier is a connection or a transaction.
type querier interface {
	query(ctx context.Context, sql string, args ...any) (resultRows, error)
}

// resultRows are the rows of a result, one after the other.
type resultRows interface {
	Next() bool
	Scan(targets ...any) error
	Err() error
	Close()
}

// driverQuerier is a querier of pgx.
type driverQuerier struct {
	of interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
}

func (q driverQuerier) query(ctx context.Context, sql string, args ...any) (resultRows, error) {
	return q.of.Query(ctx, sql, args...)
}

// Append adds events in a transaction of its own. See [store.Appender].
func (s *Store) Append(
	ctx context.Context, options store.AppendOptions, appends ...store.StreamAppend,
) ([]store.Appended, error) {
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	conn, err := s.acquire(ctx)
	if err != nil {
		return nil, translate(err)
	}
	defer conn.Release()
	return s.appendTo(ctx, driverQuerier{conn}, options, appends, count)
}

// AppendTx adds events within the caller's transaction, which decides whether they are committed. After an error the
// transaction is aborted, as after any failed statement; a savepoint (tx.Begin) around the call prevents that. The
// connection's client_encoding must be UTF8.
func (s *Store) AppendTx(ctx context.Context, tx pgx.Tx, options store.AppendOptions,
	appends ...store.StreamAppend,
) ([]store.Appended, error) {
	if conn := tx.Conn(); conn != nil {
		if err := checkEncodings(conn.PgConn()); err != nil {
			return nil, err
		}
	}
	count, empty, err := store.ValidateAppends(appends, s.options.PayloadBytesMax)
	if err != nil || empty {
		return nil, err
	}
	return s.appendTo(ctx, driverQuerier{tx}, options, appends, count)
}

// appendTo sends what is valid and not empty: count events, or conditions alone.
func (s *Store) appendTo(
	ctx context.Context, to querier, options store.AppendOptions, appends []store.StreamAppend, count int,
) ([]store.Appended, error) {
	conditions := slices.ContainsFunc(appends, store.StreamAppend.IsCondition)
	result := make([]store.Appended, count)
	args := newAppendArguments(appends, count, options.SkipDuplicates, result)
	if driver, is := to.(driverQuerier); is && count == 1 && !options.SkipDuplicates && !conditions {
		if err := args.appendOne(ctx, driver, s.queries.appendEvent, result); err != nil {
			return nil, args.translate(err, appends)
		}
		return result, nil
	}
	rows, err := to.query(ctx, s.queries.append, args.list(options)...)
	if err != nil {
		return nil, args.translate(err, appends)
	}
	defer rows.Close()
	for rows.Next() {
		var ordinal, position, version int64
		if err := rows.Scan(&ordinal, &position, &version); err != nil {
			return nil, args.translate(err, appends)
		}
		at := &result[args.places[ordinal-1]]
		at.Position, at.AggregateVersion = position, version
	}
	if err := rows.Err(); err != nil {
		return nil, args.translate(err, appends)
	}
	return result, nil
}

// appendOne appends the only event, by a function that costs the server half as much as the arrays do.
func (a *appendArguments) appendOne(
	ctx context.Context, to driverQuerier, query string, result []store.Appended,
) error {
	rows, err := to.of.Query(ctx, query,
		a.contexts[0], a.types[0], a.aggregates[0], a.hashes[0], a.expected[0], a.ids[0], a.eventTypes[0], a.versions[0],
		a.payloads[0], a.metadata[0], a.traces[0], a.correlations[0], a.causation[0], a.created[0])
	if err != nil {
		return err
	}
	appended, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]int64])
	if err != nil {
		return err
	}
	result[0].Position, result[0].AggregateVersion = appended[0], appended[1]
	return nil
}

// appendArguments are the parallel arrays that append_events takes.
type appendArguments struct {
	contexts, types, aggregates []string
	hashes                      []int64

	stream                          []int32 // below 0 for a condition, which has no event
	expected                        []int64
	ids                             [][16]byte
	eventTypes                      []string
	versions                        []int32
	payloads                        [][]byte
	metadata                        []string
	traces, correlations, causation []*string
	created                         []*time.Time

	places []int // of the sent events in the result; that of a condition is not used
	of     []int // of the sent events in the appends
}

func newAppendArguments(appends []store.StreamAppend, count int, skipDuplicates bool,
	result []store.Appended,
) *appendArguments {
	a := &appendArguments{
		stream: make([]int32, 0, count), expected: make([]int64, 0, count), ids: make([][16]byte, 0,
			count), eventTypes: make([]string, 0, count),
		versions: make([]int32, 0, count), payloads: make([][]byte, 0, count), metadata: make([]string, 0, count),
		traces: make([]*string, 0, count), correlations: make([]*string, 0, count), causation: make([]*string, 0,
			count),
		created: make([]*time.Time, 0, count), places: make([]int, 0, count),
	}
	streams := make(map[store.Stream]int32, len(appends))
	seen := map[store.UUID]bool{}
	place := 0
	for i := range appends {
		stream := a.addStream(streams, appends[i].Stream)
		if appends[i].IsCondition() {
			a.addCondition(stream, appends[i].Expected, i)
		}
		for j := range appends[i].Events {
			event := &appends[i].Events[j]
			expected := store.Any()
			if j == 0 {
				expected = appends[i].Expected
			}
			id := event.ID
			if id == (store.UUID{}) {
				id = store.UUID(uuid.Must(uuid.NewV7()))
			} else if skipDuplicates {
				if seen[id] {
					result[place].ID = id
					place++
					continue
				}
				seen[id] = true
			}
			result[place].ID = id
			a.stream = append(a.stream, stream)
			a.expected = append(a.expected, expected.Code())
			a.places = append(a.places, place)
			a.of = append(a.of, i)
			a.addEvent(event, id)
			place++
		}
	}
	return a
}

// addStream returns the stream's place in the arrays, from 1. A stream may be named by several appends.
func (a *appendArguments) addStream(streams map[store.Stream]int32, stream store.Stream) int32 {
	place, known := streams[stream]
	if !known {
		place = int32(len(streams) + 1)
		streams[stream] = place
		a.contexts = append(a.contexts, stream.BoundedContext)
		a.types = append(a.types, stream.AggregateType)
		a.aggregates = append(a.aggregates, stream.AggregateID)
		a.hashes = append(a.hashes, int64(store.PartitionHash(stream.AggregateID)))
	}
	return place
}

// addCondition adds an element that is no event: only its expected version counts.
func (a *appendArguments) addCondition(stream int32, expected store.Expected, of int) {
	a.stream = append(a.stream, -stream)
	a.expected = append(a.expected, expected.Code())
	a.places = append(a.places, -1)
	a.of = append(a.of, of)
	a.addEvent(&store.Event{}, store.UUID{})
}

func (a *appendArguments) addEvent(event *store.Event, id store.UUID) {
	a.ids = append(a.ids, id)
	a.eventTypes = append(a.eventTypes, event.Type)
	a.versions = append(a.versions, max(event.Version, 1))
	payload := event.Payload
	if payload == nil {
		payload = []byte{}
	}
	a.payloads = append(a.payloads, payload)
	metadata := "{}"
	if len(event.Metadata) > 0 {
		metadata = string(event.Metadata)
	}
	a.metadata = append(a.metadata, metadata)
	a.traces = append(a.traces, optional(event.TraceID))
	a.correlations = append(a.correlations, optional(event.CorrelationID))
	a.causation = append(a.causation, optional(event.CausationID))
	var created *time.Time
	if !event.CreatedAt.IsZero() {
		created = &event.CreatedAt
	}
	a.created = append(a.created, created)
}

func (a *appendArguments) list(options store.AppendOptions) []any {
	return []any{
		a.contexts, a.types, a.aggregates, a.hashes, a.stream, a.expected, a.ids, a.eventTypes, a.versions,
		a.payloads, a.metadata, a.traces, a.correlations, a.causation, a.created, options.SkipDuplicates,
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// translate turns the errors that only an append can meet into those of package store.
func (a *appendArguments) translate(err error, appends []store.StreamAppend) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return translate(err)
	}
	switch {
	case pg.Code == stateVersionConflict:
		conflicts, ok := a.conflicts(pg.Detail, appends)
		if !ok {
			return err // not by our own function
		}
		return conflicts.Err()
	case pg.Code == stateUniqueViolation && pg.ConstraintName == "events_event_id_key":
		return &store.DuplicateEventError{ID: idInDetail(pg.Detail)}
	case pg.Code == stateUniqueViolation && pg.ConstraintName == "events_stream_version_key":
		return overtaken(pg.Detail, appends)
	case strings.HasPrefix(pg.Code, classDataException):
		return &store.InputError{Field: "a value of the events", Reason: "cannot be stored: " + describe(pg)}
	}
	return translate(err)
}

// conflicts reads the details of append_events and append_event.
func (a *appendArguments) conflicts(detail string, appends []store.StreamAppend) (conflicts store.VersionConflicts,
	ok bool,
) {
	for text := range strings.SplitSeq(detail, "; ") {
		var ordinal int
		var actual int64
		if _, scan := fmt.Sscanf(text, "event %d: the stream is at version %d", &ordinal, &actual); scan != nil ||
			ordinal < 1 || ordinal > len(a.of) {
			return nil, false
		}
		conflicts = append(conflicts, a.conflict(ordinal-1, actual, appends))
	}
	return conflicts, true
}

// conflict returns the conflict of the event at an index of the arrays.
func (a *appendArguments) conflict(index int, actual int64, appends []store.StreamAppend) *store.VersionConflictError {
	return &store.VersionConflictError{
		Stream: appends[a.of[index]].Stream, Expected: store.ExpectedFromCode(a.expected[index]), Actual: actual,
	}
}

// overtaken is the error of an append whose versions another append took after it had read the last one: one that
// inserts without append_events, or in a transaction that sees an older state. The detail names the stream as
// "…)=(context, type, id, version)".
func overtaken(detail string, appends []store.StreamAppend) error {
	conflict := &store.VersionConflictError{Stream: appends[0].Stream, Expected: appends[0].Expected, Actual: -1}
	for i := range appends {
		stream := appends[i].Stream
		if strings.Contains(detail, "=("+stream.BoundedContext+", "+stream.AggregateType+", "+stream.AggregateID+", ") {
			conflict.Stream, conflict.Expected = stream, appends[i].Expected
			break
		}
	}
	if conflict.Expected == store.Any() {
		// Nothing was expected, so that nothing is wrong: the same append finds the new version when it is repeated.
		return fmt.Errorf("%w: %s", store.ErrTransient, conflict.Error())
	}
	return conflict
}

// idInDetail finds the id in "Key (event_id)=(…) already exists.".
func idInDetail(detail string) store.UUID {
	_, rest, _ := strings.Cut(detail, "=(")
	text, _, _ := strings.Cut(rest, ")")
	id, _ := store.ParseUUID(text) // the zero id says that the server did not tell
	return id
}
