package jetstream_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

// BenchmarkCopy copies a log of events with 210 bytes to a server alone, and to three.
func BenchmarkCopy(b *testing.B) {
	const events = 50_000
	log := newLog(b)
	payload := []byte(strings.Repeat("x", 210))
	for first := 0; first < events; first += 5000 {
		appends := make([]store.StreamAppend, 5000)
		for i := range appends {
			appends[i] = store.StreamAppend{
				Stream:   store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: fmt.Sprint(i)},
				Expected: store.Any(), Events: []store.Event{{Type: "Placed", Payload: payload}},
			}
		}
		if _, err := log.AppendBulk(b.Context(), store.AppendOptions{}, appends...); err != nil {
			b.Fatal(err)
		}
	}
	for _, nodes := range []int{1, 3} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			cluster := natstest.StartCluster(b, nodes)
			streams := 0
			for b.Loop() {
				streams++
				c, err := jetstream.OpenCopy(b.Context(), cluster.URL(), log, jetstream.CopyOptions{
					Stream: fmt.Sprintf("S%d", streams), Prefix: fmt.Sprintf("s%d", streams),
				})
				if err != nil {
					b.Fatal(err)
				}
				if copied, err := c.Once(b.Context()); err != nil || copied.Copied != events {
					b.Fatalf("%+v: %v", copied, err)
				}
				c.Close()
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkSink sends messages of 256 keys at once: some that were put into the outbox now, and some that waited for long.
func BenchmarkSink(b *testing.B) {
	for _, nodes := range []int{1, 3} {
		cluster := natstest.StartCluster(b, nodes)
		conn, err := nats.Connect(cluster.URL())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		js, err := natsjs.New(conn)
		if err != nil {
			b.Fatal(err)
		}
		config := natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, Replicas: nodes}
		if _, err := js.CreateStream(b.Context(), config); err != nil {
			b.Fatal(err)
		}
		sink, err := jetstream.Open(b.Context(), cluster.URL(), jetstream.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer sink.Close()
		position := int64(0)
		for name, age := range map[string]time.Duration{"fresh": 0, "old": time.Hour} {
			b.Run(fmt.Sprintf("nodes=%d/%s", nodes, name), func(b *testing.B) {
				const keys, each = 256, 20
				for b.Loop() {
					var group sync.WaitGroup
					first := position
					position += keys * each
					for key := range int64(keys) {
						group.Go(func() {
							subject := fmt.Sprintf("shop.k%d", key)
							for n := range int64(each) {
								message := aged(fresh(first+key*each+n+1, subject, subject), age)
								message.Time = message.PutAt
								if err := sink.Send(b.Context(), message); err != nil {
									b.Error(err)
								}
							}
						})
					}
					group.Wait()
				}
				b.ReportMetric(float64(256*20*b.N)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}
