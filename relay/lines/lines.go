// Package lines writes messages as lines, each a CloudEvent in JSON: to a file that keeps them, or to the standard
// output and the like.
package lines

import (
	"context"
	"fmt"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

// Options configures a sink.
type Options struct {
	Source string // of the CloudEvents. Defaults to /pupwasm/<projection>.
}

func (o *Options) validate() error { return cloudevents.CheckSource(o.Source) }

const (
	// concurrency is how many messages are written together, at most.
	concurrency = 64
	// groupBytesMax bounds what is written together, when there is more than one message.
	groupBytesMax = 4 << 20
)

// Sink writes lines. One goroutine writes: what waits when it comes back is written together.
type Sink struct {
	options Options
	target  string
	lines   chan line
	ended   chan struct{}
	isFile  bool
}

type line struct {
	text    []byte
	written chan error // has room for one
}

var _ relay.Sink = (*Sink)(nil)

// output is what lines go to.
type output interface {
	// write writes lines for good. After an error there may be some of them, and a part of one until the next write.
	write(lines []byte) error
	close()
}

// start starts the goroutine.
func (s *Sink) start(to output) *Sink {
	s.lines, s.ended = make(chan line), make(chan struct{})
	go func() {
		defer close(s.ended)
		defer to.close()
		for first := range s.lines {
			group := s.gather(first)
			var text []byte
			for _, one := range group {
				text = append(text, one.text...)
			}
			err := to.write(text)
			if err != nil {
				err = fmt.Errorf("%s: %w", s.target, oneline.Error(err))
			}
			for _, one := range group {
				one.written <- err
			}
		}
	}()
	return s
}

// gather returns a line and those that wait behind it.
func (s *Sink) gather(first line) []line {
	group, size := []line{first}, len(first.text)
	for len(group) < concurrency && size < groupBytesMax {
		select {
		case next, open := <-s.lines:
			if !open {
				return group
			}
			group, size = append(group, next), size+len(next.text)
		default:
			return group
		}
	}
	return group
}

// Send writes a message. JSON keeps its bytes, but for line breaks between its tokens, which become blanks, and for
// characters on which terminals act, which are escaped.
func (s *Sink) Send(ctx context.Context, message *store.OutboxMessage) error {
	event := cloudevents.Of(&message.Message, s.options.Source)
	text := append(oneline.JSON(event.AppendJSON(nil)), '\n')
	for i, c := range text[:len(text)-1] {
		if c == '\n' || c == '\r' { // strings of JSON have none
			text[i] = ' '
		}
	}
	one := line{text: text, written: make(chan error, 1)}
	select {
	case s.lines <- one:
	case <-ctx.Done():
		return s.gaveUp(ctx)
	}
	select {
	case err := <-one.written:
		return err
	case <-ctx.Done():
		return s.gaveUp(ctx)
	}
}

func (s *Sink) gaveUp(ctx context.Context) error {
	return fmt.Errorf("%s: %w", s.target, oneline.Error(context.Cause(ctx)))
}

// Concurrency is how many messages are written together.
func (s *Sink) Concurrency() int { return concurrency }

// Target is the path of the file, or the name of what is written to.
func (s *Sink) Target() string { return s.target }

// Close waits until what is being written to a file is written, and closes it. It leaves another writer as it is.
func (s *Sink) Close() error {
	close(s.lines)
	if s.isFile {
		<-s.ended
	}
	return nil
}
