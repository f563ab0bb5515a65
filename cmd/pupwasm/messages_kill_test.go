//go:build unix

package main_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestMessages_eachOnceWhileHostsAndNodesAreKilled has two hosts send messages to a cluster of three nodes, and kills hosts
// and nodes until all are sent: the stream has each message once, those of a key in order. Then the projection is reset
// and built again, and sends nothing. With PUPWASM_CHAOS there are 100,000 messages, and MariaDB too.
func TestMessages_eachOnceWhileHostsAndNodesAreKilled(t *testing.T) {
	t.Parallel()
	events, kinds := 6_000, []string{onSQLite, onPostgres}
	if os.Getenv("PUPWASM_CHAOS") != "" {
		events, kinds = 100_000, append(kinds, onMariaDB)
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			k := startMessageKiller(t, kind, events)
			k.killUntilAllAreSent()
			k.compare()
			k.rebuild()
			k.compare()
		})
	}
}

// messageKiller has two hosts that send messages, and what they send them to.
type messageKiller struct {
	*testing.T

	db      database
	cluster *natstest.Cluster
	stream  jetstream.Stream
	modules string
	log     string
	events  int
	hosts   [2]*process
	down    int // the node that is down, or -1
	random  *rand.Rand
}

func startMessageKiller(t *testing.T, kind string, events int) *messageKiller {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	k := &messageKiller{
		T: t, db: newDatabase(t, kind), cluster: natstest.StartCluster(t, 3), modules: modulesFolder(t, "order_messages"),
		log: ordersLog(t, events), events: events, down: -1, random: rand.New(rand.NewPCG(seed, 1)),
	}
	conn, err := nats.Connect(k.cluster.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	k.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "SHOP", Subjects: []string{"shop.>"}, Replicas: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	runCommand(t, k.db.DSN, "migrate", "up")
	runCommand(t, k.db.DSN, "append", k.log)
	return k
}

// ordersLog writes events of orders, each of which causes a message.
func ordersLog(t *testing.T, events int) string {
	t.Helper()
	return packedLog(t, func(to io.Writer) {
		for i := range events {
			fmt.Fprintf(to, `{"bounded_context":"Shop","aggregate_type":"Order","aggregate_id":"order %d","event_type":"OrderPaid",`+
				`"payload":{"amount":%d.50,"currency":"EUR"}}`+"\n", i%max(events/20, 1), i)
		}
	})
}

func (k *messageKiller) startHost(i int) {
	k.hosts[i] = start(k.T, k.db.DSN, "run", k.modules, "--publish", k.cluster.URL(), "--messages-from", "beginning",
		"--lease", "1s", "--batch", "200")
}

// killUntilAllAreSent kills a host or a node whenever some more messages have arrived. Two nodes always run.
func (k *messageKiller) killUntilAllAreSent() {
	k.Helper()
	for i := range k.hosts {
		k.startHost(i)
	}
	kills := 0
	for all := uint64(k.events); k.sent() < all; kills++ {
		next := min(k.sent()+1+k.random.Uint64N(all/10), all)
		testwait.Until(k.T, fmt.Sprintf("%d messages are sent", next), func() bool {
			k.checkHosts()
			return k.sent() >= next
		})
		k.kill()
	}
	if k.down >= 0 {
		k.restart()
	}
	k.Logf("%d kills", kills)
	for _, host := range k.hosts {
		host.awaitLog(k.T, "projection installed")
		host.signal(syscall.SIGTERM)
		if code := host.wait(k.T); code != 0 {
			k.Errorf("a host exits with %d: %s", code, host.output)
		}
	}
}

// checkHosts fails the test when a host has ended by itself.
func (k *messageKiller) checkHosts() {
	k.Helper()
	for _, host := range k.hosts {
		select {
		case <-host.exited:
			k.Fatalf("a host has ended by itself: %s", host.output)
		default:
		}
	}
}

func (k *messageKiller) kill() {
	switch {
	case k.random.IntN(2) == 0:
		i := k.random.IntN(len(k.hosts))
		k.hosts[i].signal(syscall.SIGKILL)
		<-k.hosts[i].exited
		k.startHost(i)
	case k.down >= 0:
		k.restart()
	default:
		k.down = k.random.IntN(3)
		k.cluster.Kill(k.down)
	}
}

func (k *messageKiller) restart() {
	k.Helper()
	if err := k.cluster.Restart(k.down); err != nil {
		k.Fatal(err)
	}
	if err := k.cluster.WaitReady(); err != nil {
		k.Fatal(err)
	}
	k.down = -1
}

// sent is how many messages the stream has, or 0 while it does not answer.
func (k *messageKiller) sent() uint64 {
	info, err := k.stream.Info(k.Context())
	if err != nil {
		return 0
	}
	return info.State.Msgs
}

// compare compares the stream with the log.
func (k *messageKiller) compare() {
	k.Helper()
	consumer, err := k.stream.OrderedConsumer(k.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		k.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		k.Fatal(err)
	}
	defer messages.Stop()
	seen, latest := map[string]bool{}, map[string]int64{}
	for left := k.sent(); left > 0; left-- {
		message, err := messages.Next()
		if err != nil {
			k.Fatal(err)
		}
		id := message.Headers().Get(nats.MsgIdHdr)
		if seen[id] {
			k.Errorf("message %s is there twice", id)
		}
		seen[id] = true
		parts := strings.Split(id, ".") // order_messages.v1.120.0
		position, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			k.Fatalf("message %q: %v", id, err)
		}
		if before := latest[message.Subject()]; before >= position {
			k.Errorf("message %s comes behind that of position %d", id, before)
		}
		latest[message.Subject()] = position
	}
	if len(seen) != k.events {
		k.Errorf("the stream has %d messages, must have %d", len(seen), k.events)
	}
	if orders := max(k.events/20, 1); len(latest) != orders {
		k.Errorf("they are of %d orders, must be of %d", len(latest), orders)
	}
}

// rebuild resets the projection and applies the log again.
func (k *messageKiller) rebuild() {
	k.Helper()
	testwait.Until(k.T, "no host that was killed has a lease", func() bool {
		return start(k.T, k.db.DSN, "reset", "order_messages", "--yes").wait(k.T) == 0
	})
	runCommand(k.T, k.db.DSN, "run", "--once", k.modules, "--publish", k.cluster.URL(), "--messages-from", "beginning")
}
