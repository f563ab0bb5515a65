package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/pace"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

type relayOptions struct {
	*globalOptions

	to    string
	once  bool
	retry time.Duration
	copy  jetstream.CopyOptions
}

func (o *relayOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.to, "to", "",
		"`URL` of the NATS servers: nats://HOST:PORT or tls://HOST:PORT, several with commas between them")
	asSecret(flags, "to", secretNATS)
	flags.StringVar(&o.copy.Stream, "stream", "EVENTS", "`name` of the stream, which is created if it is missing")
	flags.StringVar(&o.copy.Prefix, "subject-prefix", "events", "`name` that the subjects of events begin with")
	flags.IntVar(&o.copy.Replicas, "replicas", 0,
		"replicas of a stream that is created (default: 3 in a cluster, 1 on a server alone)")
	flags.Int64Var(&o.copy.After, "after", 0,
		"begin behind this `position` of the log, if the stream has no message yet; otherwise it is continued")
	flags.BoolVar(&o.once, "once", false, "copy the events that exist now, then exit")
	flags.DurationVar(&o.retry, "retry", time.Minute,
		"with --once, how long to retry when the database or NATS is not available; otherwise there is no limit")
	flags.DurationVar(&o.copy.PollMax, "poll", 100*time.Millisecond, "longest interval between polls for new events")
	flags.DurationVar(&o.copy.Timeout, "nats-timeout", 10*time.Second, "how long NATS may take to acknowledge a message")
	flags.StringVar(&o.copy.CredentialsFile, "nats-creds", "", "`file` with the credentials of NATS, such as user.creds")
	flags.StringVar(&o.copy.NKeyFile, "nats-nkey", "", "`file` with the seed of the NKey for NATS")
	flags.StringVar(&o.copy.CAFile, "nats-ca", "", "PEM `file` of certificates that sign those of the servers (default: the system's)")
	flags.StringVar(&o.copy.CertFile, "nats-cert", "", "PEM `file` with the client's certificate")
	flags.StringVar(&o.copy.KeyFile, "nats-key", "", "PEM `file` with the key of --nats-cert")
	o.addJSON(flags, printsJSON)
}

const relayHelp = `Copy the log to a stream of NATS JetStream: every event once, in order of position, until it is stopped.

Each event is one message. Its subject is PREFIX.CONTEXT.TYPE.ID.EVENTTYPE, with letters, digits, - and _ as they are and
other bytes as in a URL. The data is the payload; headers (Pupwasm-Position, Pupwasm-Event-Id and so on) have the rest.

The stream itself says how far the copy is: it goes on behind the event of the stream's last message, which the log must
have. Each message is stored only behind the one before it, so that nothing is doubled or left out whatever stops. Run the
command twice, on two machines: one copies, and the other takes its place within seconds when it stops.

A missing stream is created with file storage, without limits, and so that no message can be deleted. One that could lose
messages, has those of others, or is the copy of another log, is refused.

Put a user and a password, or a token, into the URL (nats://user:password@host) and the URL into PUPWASM_TO, or use
--nats-creds, --nats-nkey, or --nats-cert with --nats-key. The event that servers do not take because of its size
(max_payload of nats-server, by default 1 MiB) ends the command. See docs/scale.md.`

func newRelayCommand(globals *globalOptions) *cobra.Command {
	opts := &relayOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Copy the log to NATS JetStream",
		Long:  relayHelp,
		Example: `  pupwasm relay --to nats://localhost:4222
  pupwasm relay --to tls://n1.example,tls://n2.example,tls://n3.example --nats-creds relay.creds
  pupwasm relay --to nats://localhost --stream SHOP --subject-prefix shop --once --json`,
		Args: wantArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRelay(cmd.Context(), opts) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func runRelay(ctx context.Context, opts *relayOptions) error {
	switch {
	case opts.to == "":
		return usagef("--to is missing: name the NATS servers, such as --to nats://localhost:4222")
	case opts.retry < 0:
		return usagef("--retry must not be negative, it is %s", opts.retry)
	}
	bar := &relayProgress{globalOptions: opts.globalOptions, began: clock.Now()}
	defer bar.done()
	opts.copy.Logger, opts.copy.Progress = opts.log.Hook(bar), bar.show
	retry := &backoff{limit: -1, log: opts.log}
	if opts.once {
		retry.limit, opts.copy.GiveUp = opts.retry, max(opts.retry, time.Nanosecond)
	}
	var log store.Store
	err := retry.do(ctx, func() (err error) {
		log, err = openStore(ctx, opts.globalOptions)
		return err
	})
	if err != nil {
		return opts.stopped(ctx, err)
	}
	defer log.Close()
	copying, err := jetstream.OpenCopy(ctx, opts.to, log, opts.copy)
	if err != nil {
		return usagef("%v", err)
	}
	defer copying.Close()
	if opts.once {
		_, err = copying.Once(ctx)
	} else {
		err = opts.stopped(ctx, copying.Run(ctx))
	}
	if err != nil {
		return err
	}
	bar.done()
	return opts.report(copying.Copied(), clock.Since(bar.began))
}

// stopped returns nil for what a signal has ended that runs until one comes.
func (o *relayOptions) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !o.once {
		return nil
	}
	return err
}

// relayReport is the JSON form of what was copied.
type relayReport struct {
	Stream   string  `json:"stream"`
	Sequence uint64  `json:"sequence"` // of its last message
	Position int64   `json:"position"` // up to which it has every event
	Copied   int64   `json:"copied"`   // events
	Seconds  float64 `json:"seconds"`
}

func (o *relayOptions) report(copied jetstream.CopyProgress, took time.Duration) error {
	if o.json {
		return o.result(relayReport{copied.Stream, copied.Sequence, copied.Position, copied.Copied, took.Seconds()})
	}
	return o.say("%s copied to stream %s, which is at position %d, %s", count(copied.Copied, "event"), copied.Stream,
		copied.Position, rate(copied.Copied, took))
}

// relayProgress shows a bar on a terminal, and lines of the log otherwise, while the copy is behind.
type relayProgress struct {
	*globalOptions
	began    time.Time
	bar      *progress
	from     int64     // position at which the bar begins
	logged   pace.Mark // at the last line of the log
	caughtUp bool
}

// Run takes the bar away before a line of the log.
func (p *relayProgress) Run(*zerolog.Event, zerolog.Level, string) {
	if p.bar != nil {
		p.bar.clear()
	}
}

func (p *relayProgress) done() {
	if p.bar != nil {
		p.bar.done()
		p.bar = nil
	}
}

// show shows how far the copy is. It says once that it has caught up.
func (p *relayProgress) show(at jetstream.CopyProgress) {
	now := pace.Mark{At: clock.Now(), Behind: at.Horizon - at.Position, Events: at.Copied}
	if p.logged.At.IsZero() {
		p.logged = now
	}
	switch {
	case p.caughtUp:
	case now.Behind <= 0:
		p.caughtUp = true
		p.done()
		p.log.Info().Str("stream", at.Stream).Int64("position", at.Position).Int64("events", at.Copied).
			Stringer("after", now.At.Sub(p.began).Round(time.Millisecond)).Msg("caught up")
	case hasCursor(p.errs):
		if p.bar == nil {
			p.from = at.Position
			p.bar = newCountBar(p.globalOptions, "copying", at.Horizon-p.from)
		}
		p.bar.set(at.Position - p.from)
	case now.At.Sub(p.logged.At) >= catchUpInterval:
		p.log.Info().Str("stream", at.Stream).Int64("position", at.Position).Int64("behind", now.Behind).
			Int64("events_per_second", int64(now.Rate(p.logged))).Msg("copying")
		p.logged = now
	}
}
