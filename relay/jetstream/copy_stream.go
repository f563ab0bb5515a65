package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/store"
)

// StreamError says why a stream cannot be the copy of a log. Nothing was sent.
type StreamError struct {
	Stream string
	Reason string // what is wrong, and what to do
}

// Error names the stream.
func (e *StreamError) Error() string { return "stream " + e.Stream + " " + e.Reason }

func (c *Copy) unfit(format string, args ...any) error {
	return &StreamError{Stream: c.options.Stream, Reason: fmt.Sprintf(format, args...)}
}

// stream returns the stream as it is now. It creates one that is missing.
//
// # Errors
//
// [*StreamError]; [*UnavailableError]; ctx's.
func (c *Copy) stream(ctx context.Context) (natsjs.Stream, error) {
	within, cancel := c.conn.within(ctx)
	defer cancel()
	stream, err := c.conn.js.Stream(within, c.options.Stream)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		if stream, err = c.conn.js.CreateStream(within, c.config()); err == nil {
			c.logger.Info().Str("stream", c.options.Stream).Int("replicas", stream.CachedInfo().Config.Replicas).Msg("stream created")
		}
	}
	var api *natsjs.APIError
	switch {
	case err == nil:
	case errors.Is(err, natsjs.ErrStreamNameAlreadyInUse): // another copy was faster, with other options
		return nil, c.conn.unavailable(err)
	case errors.Is(err, natsjs.ErrJetStreamNotEnabled), errors.Is(err, natsjs.ErrJetStreamNotEnabledForAccount):
		return nil, c.unfit("cannot be there: JetStream is not enabled at %s for this user: start nats-server with -js, or let the "+
			"account use it", c.conn.servers.shown)
	case errors.As(err, &api) && api.ErrorCode == codeReplicasOfOne:
		return nil, c.unfit("cannot have %d replicas: the server at %s is in no cluster", c.replicas(), c.conn.servers.shown)
	case errors.As(err, &api) && api.ErrorCode == codeNoPeers: // servers of the cluster may be down
		return nil, &UnavailableError{Reason: fmt.Sprintf("stream %s cannot be created with %d replicas now: %s: start more "+
			"servers, or ask for fewer replicas", c.options.Stream, c.replicas(), c.conn.plainText(api.Description))}
	case errors.As(err, &api) && api.Code >= 400 && api.Code < 500:
		remedy := ""
		if api.ErrorCode == codeSubjectsOverlap {
			remedy = ": choose another prefix for the subjects"
		}
		return nil, c.unfit("cannot be created: %s%s", c.conn.plainText(api.Description), remedy)
	default:
		return nil, c.conn.explain(ctx, err)
	}
	config := stream.CachedInfo().Config
	if reason := c.misfit(&config); reason != "" {
		return nil, c.unfit("%s", reason)
	}
	if !c.warned && (!config.DenyDelete || !config.DenyPurge) {
		c.warned = true
		c.logger.Warn().Str("stream", config.Name).Msg("messages of the stream can be deleted: a stream with deny_delete and " +
			"deny_purge keeps them")
	}
	return stream, nil
}

// What streams have that copies made: a sink sends no messages to them, see [isCopy].
const (
	copyDescription = "copy of an event log, by pupwasm"
	copyMark        = "pupwasm.copy" // in the metadata
)

// isCopy reports that a stream was made for the copy of a log.
func isCopy(config *natsjs.StreamConfig) bool {
	return config.Metadata[copyMark] != "" || config.Description == copyDescription
}

func (c *Copy) replicas() int {
	switch {
	case c.options.Replicas > 0:
		return c.options.Replicas
	case c.conn.nats.ConnectedClusterName() != "":
		return 3
	}
	return 1
}

// config is that of a stream that is created.
func (c *Copy) config() natsjs.StreamConfig {
	return natsjs.StreamConfig{
		Name: c.options.Stream, Description: copyDescription, Metadata: map[string]string{copyMark: "log"},
		Subjects:  []string{c.subjects()},
		Retention: natsjs.LimitsPolicy, Storage: natsjs.FileStorage, Replicas: c.replicas(), DenyDelete: true, DenyPurge: true,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
}

func (c *Copy) subjects() string { return c.options.Prefix + ".>" }

// misfit says why a stream with this configuration cannot keep a log, or "".
func (c *Copy) misfit(config *natsjs.StreamConfig) string {
	const remedy = ": name another stream and prefix, which is created as it should be"
	switch {
	case config.Mirror != nil || len(config.Sources) > 0:
		return "has messages of other streams" + remedy
	case !slices.Equal(config.Subjects, []string{c.subjects()}):
		return fmt.Sprintf("takes the subjects %s, must take %s and no others", strings.Join(config.Subjects, ", "), c.subjects())
	case config.Retention != natsjs.LimitsPolicy:
		return fmt.Sprintf("drops messages that were read (its retention is %s, must be limits)%s", config.Retention, remedy)
	case config.MaxAge > 0 || config.MaxMsgs > 0 || config.MaxBytes > 0 || config.MaxMsgsPerSubject > 0:
		return "drops messages by age, number or bytes: take its limits away, or name another stream and prefix"
	case config.Storage != natsjs.FileStorage || config.PersistMode == natsjs.AsyncPersistMode:
		return "may lose messages when servers stop: it is in memory, or is written later" + remedy
	case config.AllowRollup || config.NoAck || config.SubjectTransform != nil:
		return "has roll-ups, transformed subjects or no acknowledgements" + remedy
	case config.Sealed:
		return "is sealed" + remedy
	}
	return ""
}

// remake says what to do about a stream that cannot be gone on with. Two streams cannot take the same subjects.
const remake = ". Delete the stream, so that it is copied anew, or name another stream and another prefix"

// end finds where the stream ends, and checks that the log has the event there.
//
// # Errors
//
// [*StreamError]; [*UnavailableError]; a position to begin behind that the log has not reached; those of the log; ctx's.
func (c *Copy) end(ctx context.Context, stream natsjs.Stream) (*streamEnd, error) {
	state := stream.CachedInfo().State
	if state.LastSeq == 0 {
		horizon, err := c.log.Horizon(ctx)
		if err != nil {
			return nil, err
		}
		if c.options.After > horizon.Position {
			return nil, fmt.Errorf("the copy is to begin behind position %d, the log can be read up to %d: what is appended before "+
				"would be left out: begin there at most", c.options.After, horizon.Position)
		}
		c.progress.Position = c.options.After
		return &streamEnd{position: c.options.After, log: horizon.Log}, nil
	}
	last, err := c.conn.stored(ctx, c.options.Stream, storedRequest{Sequence: state.LastSeq})
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return nil, c.unfit("had %d messages, and the last one was deleted: nobody knows which event it had%s",
			state.LastSeq, remake)
	}
	if err != nil {
		return nil, err
	}
	event, log, err := Event(last.Header, last.Data)
	if err != nil {
		return nil, c.unfit("has messages of others: its last one, %d on %s, has no event of a log. Have nobody else send to %s%s",
			state.LastSeq, c.conn.plainText(last.Subject), c.subjects(), remake)
	}
	checkpoint := store.Checkpoint{
		Position: event.Position,
		Applied:  store.Applied{Log: store.LogID{ID: log}, Position: event.Position, Event: event.ID},
	}
	located, faults, err := store.LocateCheckpoints(ctx, c.log, checkpoint)
	if err != nil {
		return nil, err
	}
	if err := c.fault(faults[0], &event, log, &located); err != nil {
		return nil, err
	}
	c.progress.Sequence, c.progress.Position = last.Sequence, event.Position
	return &streamEnd{sequence: last.Sequence, position: event.Position, log: located.Log}, nil
}

// fault is the error for a stream that ends with an event that the log does not have.
func (c *Copy) fault(fault error, event *store.RecordedEvent, log store.UUID, located *store.LogState) error {
	const remedy = ". Restore the log, or copy to another stream, with another prefix"
	switch {
	case fault == nil:
		return nil
	case log != located.Log.ID:
		return c.unfit("is a copy of log %s, the database has log %s: name the database of that log, or another stream", log,
			located.Log.ID)
	case located.Head < event.Position:
		return c.unfit("has the event at position %d, the log ends at %d: it has lost events%s", event.Position, located.Head, remedy)
	case located.Events[0] == store.UUID{}:
		return c.unfit("has event %s at position %d, which is not in the log any more%s", event.ID, event.Position, remedy)
	}
	return c.unfit("has event %s at position %d, where the log has %s now%s", event.ID, event.Position, located.Events[0], remedy)
}
