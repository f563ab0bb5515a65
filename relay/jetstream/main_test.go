package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// server starts a server, and returns it with a connection of the test's own.
func server(t *testing.T, settings ...string) (*natstest.Cluster, natsjs.JetStream) {
	t.Helper()
	cluster := natstest.StartCluster(t, 1, settings...)
	return cluster, connect(t, cluster.URL())
}

func connect(t *testing.T, url string, options ...nats.Option) natsjs.JetStream {
	t.Helper()
	conn, err := nats.Connect(url, append(options, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := natsjs.New(conn, natsjs.WithDefaultTimeout(30*time.Second)) // of a machine that does much else
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func createStream(t *testing.T, js natsjs.JetStream, config natsjs.StreamConfig) natsjs.Stream {
	t.Helper()
	var stream natsjs.Stream
	testwait.Until(t, "the stream is created", func() bool {
		within, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		stream, err = js.CreateStream(within, config)
		var refused *natsjs.APIError
		if errors.As(err, &refused) && refused.Code == 400 {
			t.Fatal(err)
		}
		return err == nil
	})
	return stream
}

// messagesOf returns all messages of a stream.
func messagesOf(t *testing.T, js natsjs.JetStream, name string) []*natsjs.RawStreamMsg {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	messages := make([]*natsjs.RawStreamMsg, stream.CachedInfo().State.LastSeq)
	for i := range messages {
		if messages[i], err = stream.GetMsg(t.Context(), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	return messages
}
