//go:build unix

// Command demomessages is 'make demo-messages': pupwasm sends messages about the orders of a shop to a cluster of NATS,
// while a node of the cluster and pupwasm itself are killed. At the end it compares the stream with the log.
//
//	demomessages PUPWASM MODULE    # the program, and order_messages.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pupwasm/pupwasm/internal/backoff"
	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/natstest"
)

const (
	nodes  = 3
	orders = 15_000
	// timeMax is longer than all of it takes.
	timeMax = 5 * time.Minute
	poll    = 50 * time.Millisecond
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeMax)
	defer cancel()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demomessages PUPWASM MODULE")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "demomessages:", err)
		os.Exit(1)
	}
}

// demo is what the steps work on.
type demo struct {
	program string
	folder  string // with the database and the module
	cluster *natstest.Cluster
	stream  *stream
	host    *host
	sent    int // messages in the stream, when somebody asked last
	began   time.Time
}

func run(ctx context.Context, program, module string) error {
	d := &demo{began: clock.Now()}
	var err error
	if d.program, err = filepath.Abs(program); err != nil {
		return err
	}
	if d.folder, err = os.MkdirTemp("", "pupwasm-demo"); err != nil {
		return err
	}
	defer os.RemoveAll(d.folder)
	if err := d.prepare(ctx, module); err != nil {
		return err
	}
	if d.cluster, err = natstest.Start(nodes); err != nil {
		return err
	}
	defer d.cluster.Stop()
	if d.stream, err = createStream(ctx, d.cluster.URL()); err != nil {
		return err
	}
	defer d.stream.close()
	d.say("%d nodes of NATS have a stream with %d replicas", nodes, nodes)
	log, err := readLog(ctx, d.database())
	if err != nil {
		return err
	}
	d.say("the log has %s events of a shop, of which %s cause a message", number(log.events), number(len(log.messages)))
	if d.host, err = d.startHost(); err != nil {
		return err
	}
	defer func() { d.host.kill() }()
	if err := d.trouble(ctx, len(log.messages)); err != nil {
		return errors.Join(err, d.host.failure())
	}
	return d.compare(ctx, log)
}

// trouble kills a node and the host on the way, and returns when everything is sent.
func (d *demo) trouble(ctx context.Context, messages int) error {
	if err := d.await(ctx, messages/4); err != nil {
		return err
	}
	node, err := d.stream.leader(ctx)
	if err != nil {
		return err
	}
	d.cluster.Kill(node)
	d.say("node n%d, the leader of the stream, is killed", node+1)
	if err := d.await(ctx, messages/2); err != nil {
		return err
	}
	d.host.kill()
	d.say("pupwasm is killed by SIGKILL, and started again")
	if d.host, err = d.startHost(); err != nil {
		return err
	}
	if err := d.await(ctx, messages*3/4); err != nil {
		return err
	}
	if err := d.cluster.Restart(node); err != nil {
		return err
	}
	d.say("node n%d is started again", node+1)
	if err := d.await(ctx, messages); err != nil {
		return err
	}
	if err := d.awaitEmpty(ctx); err != nil {
		return err
	}
	d.say("the outbox is empty")
	return d.cluster.WaitReady()
}

// await waits until the stream has so many messages.
func (d *demo) await(ctx context.Context, messages int) error {
	for {
		if n, err := d.stream.count(ctx); err == nil {
			if d.sent = n; n >= messages {
				return nil
			}
		}
		if err := d.host.failure(); err != nil {
			return err
		}
		if !backoff.Sleep(ctx, poll) {
			return fmt.Errorf("waiting for message %d: %w", messages, context.Cause(ctx))
		}
	}
}

// say prints a line, with how far it all is.
func (d *demo) say(format string, args ...any) {
	sent := ""
	if d.host != nil {
		sent = number(d.sent) + " messages"
	}
	fmt.Printf("%5.1f s  %15s  %s\n", clock.Since(d.began).Seconds(), sent, fmt.Sprintf(format, args...))
}
