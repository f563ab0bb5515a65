//go:build unix

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	askTimeout    = 2 * time.Second
	reconnectWait = 100 * time.Millisecond
	fetchMax      = 1000
)

// stream is where the messages go.
type stream struct {
	connection *nats.Conn
	jetstream.Stream
}

func createStream(ctx context.Context, url string) (*stream, error) {
	connection, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(connection)
	if err != nil {
		connection.Close()
		return nil, err
	}
	created, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "SHOP", Subjects: []string{"shop.>"}, Replicas: nodes,
	})
	if err != nil {
		connection.Close()
		return nil, fmt.Errorf("creating the stream: %w", err)
	}
	return &stream{connection, created}, nil
}

func (s *stream) close() { s.connection.Close() }

// count is how many messages the stream has.
func (s *stream) count(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := s.Info(ctx)
	if err != nil {
		return 0, err
	}
	return int(info.State.Msgs), nil
}

// leader is the node that leads the stream, from 0.
func (s *stream) leader(ctx context.Context) (int, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimPrefix(info.Cluster.Leader, "n"))
	if err != nil || n < 1 || n > nodes {
		return 0, fmt.Errorf("the stream has the leader %q", info.Cluster.Leader)
	}
	return n - 1, nil
}

// stored is a message in the stream.
type stored struct {
	id, key string
}

// all returns the messages of the stream, in its order.
func (s *stream) all(ctx context.Context) (all []stored, err error) {
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("reading the stream: %w", err)
	}
	count, err := s.count(ctx)
	for err == nil && len(all) < count {
		var batch jetstream.MessageBatch
		if batch, err = consumer.Fetch(min(fetchMax, count-len(all)), jetstream.FetchMaxWait(askTimeout)); err != nil {
			break
		}
		for message := range batch.Messages() {
			header := message.Headers()
			all = append(all, stored{id: header.Get(jetstream.MsgIDHeader), key: header.Get("ce-partitionkey")})
		}
		err = ctx.Err()
	}
	return all, err
}
