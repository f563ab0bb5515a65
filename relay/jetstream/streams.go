package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/clock"
)

// knownStream is a stream that messages go to, as it was not long ago.
type knownStream struct {
	name       string
	subjects   []string
	window     time.Duration // within which it drops ids that it has had
	isCopy     bool          // of a log: it takes no messages
	transforms bool          // it has messages under other subjects
	asked      time.Time
}

// streams finds the stream of a subject, and remembers it for a while.
type streams struct {
	conn *connection

	mu     sync.Mutex
	known  []*knownStream
	warned map[string]bool // by name
}

const (
	// knownFor is how long a stream is taken to be as it was.
	knownFor = 30 * time.Second
	// windowMin is the shortest duplicate window without a warning.
	windowMin = time.Minute
)

// find returns the stream that takes a subject.
//
// # Errors
//
// Those of explain. No stream is an [*UnavailableError], since somebody may create one.
func (s *streams) find(ctx context.Context, subject string) (*knownStream, error) {
	if stream := s.remembered(subject); stream != nil {
		return stream, nil
	}
	within, cancel := s.conn.within(ctx)
	defer cancel()
	name, err := s.conn.js.StreamNameBySubject(within, subject)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		return nil, s.missing(subject)
	}
	if err != nil {
		return nil, s.conn.explain(ctx, err)
	}
	stream, err := s.conn.js.Stream(within, name)
	if err != nil {
		return nil, s.conn.explain(ctx, err)
	}
	config := stream.CachedInfo().Config
	if config.NoAck {
		return nil, &UnavailableError{Reason: fmt.Sprintf("NATS at %s: stream %s gives no acknowledgements, so that nobody knows "+
			"what it has: turn its no_ack off", s.conn.servers.shown, name)}
	}
	found := &knownStream{
		name: name, subjects: config.Subjects, window: config.Duplicates, transforms: config.SubjectTransform != nil,
		asked: clock.Now(),
	}
	if found.isCopy, err = s.isCopy(ctx, stream.CachedInfo()); err != nil {
		return nil, err
	}
	s.remember(found, &config)
	return found, nil
}

// isCopy reports that a stream is the copy of a log, which a message of somebody else would end for good: it was made as
// one, or its last message is an event. One that has the messages of other streams too may have events among them.
func (s *streams) isCopy(ctx context.Context, info *natsjs.StreamInfo) (bool, error) {
	switch {
	case isCopy(&info.Config):
		return true, nil
	case info.State.LastSeq == 0 || len(info.Config.Sources) > 0:
		return false, nil
	}
	last, err := s.conn.stored(ctx, info.Config.Name, storedRequest{Sequence: info.State.LastSeq})
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return last.Header.Get(headerLog) != "", nil
}

// missing is the error for a subject that no stream takes.
func (s *streams) missing(subject string) error {
	first, _, _ := strings.Cut(subject, ".")
	return &UnavailableError{Reason: fmt.Sprintf("NATS at %s: no stream of JetStream takes the subject %s: create one, such as "+
		"by nats stream add --subjects '%s.>', or add the subject to one", s.conn.servers.shown, subject, first)}
}

func (s *streams) remembered(subject string) *knownStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.known {
		if clock.Since(stream.asked) < knownFor &&
			slices.ContainsFunc(stream.subjects, func(pattern string) bool { return matches(pattern, subject) }) {
			return stream
		}
	}
	return nil
}

func (s *streams) remember(found *knownStream, config *natsjs.StreamConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = slices.DeleteFunc(s.known, func(k *knownStream) bool { return k.name == found.name || clock.Since(k.asked) >= knownFor })
	s.known = append(s.known, found)
	if s.warned[found.name] {
		return
	}
	s.warned[found.name] = true
	for _, warning := range warnings(config) {
		s.conn.logger.Warn().Str("stream", found.name).Stringer("duplicate_window", found.window).Msg(warning)
	}
}

// warnings says what is to be known of a stream that takes messages.
func warnings(config *natsjs.StreamConfig) (all []string) {
	if config.Duplicates < windowMin {
		all = append(all, "the stream forgets ids so soon that it may have a message twice: raise its duplicate window")
	}
	switch {
	case config.Retention == natsjs.WorkQueuePolicy:
		all = append(all, "the stream drops messages that were read: it takes each once only within its duplicate window")
	case config.Retention == natsjs.InterestPolicy:
		all = append(all, "the stream drops messages that were read, and keeps none that no consumer wants: it takes each once only "+
			"within its duplicate window")
	case config.SubjectTransform != nil:
		all = append(all, "the stream has messages under other subjects: it takes each once only within its duplicate window")
	}
	full := config.MaxMsgs > 0 || config.MaxBytes > 0 || config.MaxMsgsPerSubject > 0 && config.DiscardNewPerSubject
	if full && config.Discard == natsjs.DiscardNew {
		all = append(all, "the stream takes no messages when it is full: they wait in the outbox then")
	}
	return all
}

// forget has the server asked again.
func (s *streams) forget(stream *knownStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = slices.DeleteFunc(s.known, func(k *knownStream) bool { return k == stream })
}

// matches reports whether a pattern of NATS has the subject.
func matches(pattern, subject string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		token, rest, more := strings.Cut(subject, ".")
		switch {
		case want == ">" && !patternMore:
			return true
		case want != "*" && want != token, patternMore != more:
			return false
		case !more:
			return true
		}
		pattern, subject = patternRest, rest
	}
}
