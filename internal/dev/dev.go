// Package dev runs a projection while its author changes it: it builds it at each change of its source, runs it in a
// host, and says what becomes of its rows and which messages it sends.
//
//	dev.go       a session: builds, runs, and the author's commands
//	run.go       one module at work
//	rows.go      which rows have changed
//	messages.go  what is shown of a message
//	source.go    changes of files
//	state.go     what a session shows
package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// Built is a module that was built.
type Built struct {
	File  string // its name
	Wasm  []byte
	Lines []string // what there is to say of it: the compiler, its size, warnings
}

// OnChange is what a change of the module does to the rows.
type OnChange string

// What a change does.
const (
	Rebuild  OnChange = "rebuild"  // empty tables, all events again
	Continue OnChange = "continue" // the rows stay, the new module goes on
)

// Options configure a session. Every field must be set but those that say otherwise.
type Options struct {
	Folder   string // of the source
	OnChange OnChange
	// Build builds the module. The lines of the error are shown.
	Build   func(ctx context.Context) (*Built, error)
	Runtime *host.Runtime
	Log     store.Log
	// Appender takes the fixtures. nil where the log is somebody else's.
	Appender store.Appender
	// Fixtures returns the events to append on command, with new ids.
	Fixtures func() ([]store.StreamAppend, error)
	// Tables opens the database of the tables, an empty one or with the rows of before. The session closes it.
	Tables func(ctx context.Context, empty bool) (store.Store, error)
	// Say takes a line of what happens, and may be called by several goroutines.
	Say func(line string)
	// Show takes the state after it has changed, no more than some times a second.
	Show func(State)
}

// Command is what an author asks for.
type Command rune

// The commands.
const (
	AppendFixtures Command = 'f'
	RebuildTables  Command = 'r'
	Quit           Command = 'q'
)

// Session is a run of 'pupwasm dev'.
type Session struct {
	Options

	state   *board
	current *run // nil before the first module
	builds  chan built
	cancel  context.CancelFunc // of the build under way
	working sync.WaitGroup     // builds, also those that were given up
	again   bool               // the next module runs in empty tables, also if it is the same
}

type built struct {
	*Built
	err error
	of  context.Context
}

// New makes a session.
func New(options Options) *Session {
	return &Session{Options: options, builds: make(chan built), state: newBoard(options.Say)}
}

// GuestLog takes a line that the guest has logged.
func (s *Session) GuestLog(line string) { s.state.log(line) }

// refreshEvery is how often the rows are looked at.
const refreshEvery = 250 * time.Millisecond

// Run runs the session until ctx ends or the author quits.
//
// # Errors
//
// Those of watching the source, and of the databases.
func (s *Session) Run(ctx context.Context, commands <-chan Command) error {
	sources, err := watchSources(s.Folder)
	if err != nil {
		return fmt.Errorf("watching %s: %w", s.Folder, err)
	}
	defer sources.close()
	defer s.stop()
	defer s.working.Wait()
	defer func() { s.cancel() }()
	s.build(ctx)
	refresh := time.NewTicker(refreshEvery)
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sources.changed:
			s.build(ctx)
		case b := <-s.builds:
			if b.of.Err() == nil {
				if err := s.use(ctx, b); err != nil {
					return err
				}
			}
		case command, open := <-commands:
			switch {
			case !open:
				commands = nil // no more will come, and the session goes on
			case command == Quit:
				return nil
			default:
				s.obey(ctx, command)
			}
		case <-refresh.C:
			s.refresh(ctx)
		}
	}
}

// build begins to build, and gives a build up that is under way.
func (s *Session) build(ctx context.Context) {
	if s.cancel != nil {
		s.cancel()
	}
	var of context.Context
	of, s.cancel = context.WithCancel(ctx)
	s.state.building()
	s.working.Go(func() {
		b := built{of: of}
		b.Built, b.err = s.Build(of)
		select {
		case s.builds <- b:
		case <-of.Done():
		}
	})
}

// use runs a module that was built.
func (s *Session) use(ctx context.Context, b built) error {
	if b.err != nil {
		s.state.buildFailed(b.err)
		return nil
	}
	s.state.built(b.Built)
	again := s.again
	s.again = false
	if s.current != nil && !again && bytes.Equal(s.current.module.Wasm, b.Wasm) {
		return nil // a file that the module is not made of
	}
	return s.start(ctx, b.Built, again || s.OnChange == Rebuild)
}

// start runs a module, in empty tables or in those that are there.
func (s *Session) start(ctx context.Context, module *Built, empty bool) error {
	if s.current != nil && !empty {
		if err := s.current.replace(ctx, module); err != nil {
			return s.refuse(err)
		}
		return nil
	}
	s.stop()
	tables, err := s.Tables(ctx, empty)
	if err != nil {
		return err
	}
	s.state.begin()
	s.current, err = newRun(ctx, s, tables, module)
	if err != nil {
		return s.refuse(err)
	}
	return nil
}

// refuse shows why a module cannot run. Other errors end the session.
func (s *Session) refuse(err error) error {
	var load *host.LoadError
	if errors.As(err, &load) {
		s.state.refused(oneline.Of(err))
		return nil
	}
	return err
}

func (s *Session) stop() {
	if s.current != nil {
		s.current.stop()
		s.current = nil
	}
}

// obey does what the author asks for.
func (s *Session) obey(ctx context.Context, command Command) {
	switch command {
	case AppendFixtures:
		s.appendFixtures(ctx)
	case RebuildTables:
		s.state.say("rebuilding the tables")
		s.again = true
		s.build(ctx)
	}
}

func (s *Session) appendFixtures(ctx context.Context) {
	if s.Appender == nil {
		s.state.say("the log is only read: append the events where they belong")
		return
	}
	events, err := s.Fixtures()
	if err == nil && len(events) == 0 {
		err = errors.New("the folder fixtures has no events (*.jsonl)")
	}
	if err == nil {
		_, err = s.Appender.Append(ctx, store.AppendOptions{}, events...)
	}
	if err != nil {
		s.state.say("appending the fixtures: " + oneline.Of(err))
		return
	}
	s.state.say(oneline.Count(int64(len(events)), "event") + " of the fixtures appended")
}

// refresh looks at the rows and shows the state.
func (s *Session) refresh(ctx context.Context) {
	if s.current != nil {
		s.current.refresh(ctx)
	}
	if state, changed := s.state.snapshot(); changed {
		s.Show(state)
	}
}
