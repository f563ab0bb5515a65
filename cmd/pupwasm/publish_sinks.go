package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/relay/lines"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// publisher is what a host sends messages by. A nil publisher sends none.
type publisher struct {
	sinks relay.Sinks
	opts  *publishOptions
	log   zerolog.Logger
	tally *sentTally

	opened []relay.Sink
}

// open opens what messages are sent to, or returns nil without --publish. Targets that are away are no error.
func (o *publishOptions) open(ctx context.Context, globals *globalOptions) (*publisher, error) {
	targets, err := o.targets.parse()
	if err != nil || len(targets) == 0 {
		return nil, err
	}
	p := &publisher{
		sinks: relay.Sinks{ByProjection: map[string]relay.Sink{}}, opts: o, log: globals.log,
		tally: newSentTally(),
	}
	byPlace := map[string]relay.Sink{}
	for _, to := range targets {
		sink, there := byPlace[to.place()]
		if !there {
			if sink, err = p.sink(ctx, to, globals); err != nil {
				p.close()
				return nil, err
			}
			byPlace[to.place()] = sink
			p.opened = append(p.opened, sink)
		}
		if to.projection == "" {
			p.sinks.Default = sink
		} else {
			p.sinks.ByProjection[to.projection] = sink
		}
		p.log.Info().Str("of", cmp.Or(to.projection, "all projections")).Str("target", sink.Target()).Msg("sending messages")
	}
	return p, nil
}

// sink opens one target.
func (p *publisher) sink(ctx context.Context, to publishTarget, globals *globalOptions) (relay.Sink, error) {
	var sink relay.Sink
	var err error
	switch {
	case to.scheme() == toStdout:
		surviveReaders()
		sink, err = lines.To(globals.out, toStdout, lines.Options{Source: p.opts.source})
	case to.scheme() == fileScheme:
		sink, err = lines.OpenFile(to.path(), lines.Options{Source: p.opts.source})
	case to.isWebhook():
		sink, err = p.opts.openWebhook(to.url)
	default:
		o := p.opts
		sink, err = jetstream.Open(ctx, to.url, jetstream.Options{
			CredentialsFile: o.natsCreds, NKeyFile: o.natsNKey, CAFile: o.ca, CertFile: o.cert, KeyFile: o.key, Source: o.source,
			Logger: p.log,
		})
	}
	var usage *usageError
	switch {
	case errors.As(err, &usage), err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, publishFault(to, err)
	}
	return sink, nil
}

// surviveReaders has a write to a pipe that nobody reads any more be an error. Otherwise it ends the process, where the
// pipe is standard output. Programs that the process starts do not inherit this.
func surviveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// serve has a worker with these options send what is in an outbox.
func (p *publisher) serve(worker *segments.Options, outbox store.Outbox, observer *relay.Observer) error {
	if p == nil {
		return nil
	}
	options := p.opts.relayOptions()
	options.Logger, options.Observer = p.log, relay.JoinObservers(observer, p.tally.observer())
	sender, err := relay.New(outbox, p.sinks, options)
	if err != nil {
		return err
	}
	worker.Relay = sender
	return nil
}

// takes reports that messages of a projection have a target.
func (p *publisher) takes(projection string) bool {
	return p != nil && (p.sinks.Default != nil || p.sinks.ByProjection[projection] != nil)
}

// sent returns how many messages of a version were sent, once.
func (p *publisher) sent(id store.ProjectionID) int64 {
	if p == nil {
		return 0
	}
	return p.tally.take(id)
}

// close closes the sinks, when nothing is sent any more.
func (p *publisher) close() {
	if p == nil {
		return
	}
	for _, sink := range p.opened {
		if err := sink.Close(); err != nil {
			p.log.Warn().Str("target", sink.Target()).Str("error", errorText(err)).Msg("closing what messages are sent to")
		}
	}
}
