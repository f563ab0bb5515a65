package jetstream_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
)

func openSink(t *testing.T, url string, options jetstream.Options) *jetstream.Sink {
	t.Helper()
	sink, err := jetstream.Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// eventTime is that of all events that are not old.
var eventTime = time.Now().UTC().Truncate(time.Microsecond)

// fresh is a message that was put into the outbox just now.
func fresh(position int64, subject, key string) *store.OutboxMessage {
	return &store.OutboxMessage{
		Message: store.Message{
			MessageID: store.MessageID{Projection: "shop", Version: 1, Position: position}, Type: "order_paid", Subject: subject,
			Key: []byte(key), ContentType: "application/json", Data: []byte(fmt.Sprintf(`{"n":%d}`, position)),
			Time: eventTime,
		},
		State: store.MessagePending, PutAt: time.Now(),
	}
}

// aged is a message that was put in so long ago.
func aged(message *store.OutboxMessage, ago time.Duration) *store.OutboxMessage {
	message.PutAt = message.PutAt.Add(-ago)
	return message
}

func TestSink_storesMessagesAsCloudEvents(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	sink := openSink(t, strings.Replace(cluster.URL(), "//", "//user:s3cret@", 1), jetstream.Options{})
	message := fresh(7, "shop.orders.C%2E7.paid", "C.7\r\nNats-Rollup: all")
	message.Time = message.PutAt.UTC().Truncate(time.Microsecond)
	message.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for range 2 { // the second time is a duplicate
		if err := sink.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	stored := messagesOf(t, js, "SHOP")
	if len(stored) != 1 || stored[0].Subject != message.Subject || string(stored[0].Data) != `{"n":7}` {
		t.Fatalf("the stream has %+v", stored)
	}
	got := map[string]string{}
	for name, values := range stored[0].Header {
		got[name] = strings.Join(values, "|")
	}
	want := map[string]string{
		"Nats-Msg-Id": "shop.v1.7.0", "ce-specversion": "1.0", "ce-id": "shop.v1.7.0", "ce-source": "/pupwasm/shop",
		"ce-type": "order_paid", "ce-subject": "shop.orders.C%252E7.paid", "ce-time": message.Time.Format(time.RFC3339Nano),
		"ce-datacontenttype": "application/json", "ce-traceparent": message.TraceParent, "Pupwasm-Key": got["Pupwasm-Key"],
	}
	if !maps.Equal(got, want) || len(got["Pupwasm-Key"]) != 32 {
		t.Errorf("the headers are %v, must be %v", got, want)
	}
	if target := sink.Target(); target != cluster.URL() {
		t.Errorf("the target is %s", target)
	}
}

func TestSink_saysWhatIsMissing(t *testing.T) {
	t.Parallel()
	cluster, js := server(t, "max_payload: 4096")
	sink := openSink(t, cluster.URL(), jetstream.Options{Timeout: 2 * time.Second})
	err := sink.Send(t.Context(), fresh(1, "shop.a", "k"))
	var unavailable *jetstream.UnavailableError
	if !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "no stream of JetStream takes the subject shop.a: create one") ||
		!errors.Is(err, store.ErrTransient) {
		t.Errorf("without a stream the error is %v", err)
	}
	stream := createStream(t, js, natsjs.StreamConfig{
		Name: "SHOP", Subjects: []string{"shop.*"}, MaxMsgSize: 2000, MaxMsgs: 2,
		Discard: natsjs.DiscardNew,
	})
	if err := sink.Send(t.Context(), fresh(1, "shop.a", "k")); err != nil {
		t.Errorf("with one it is %v", err)
	}
	var refused *relay.RefusedError
	for bytes, want := range map[int]string{2000: "max_msg_size", 5000: "at most 4096 bytes (max_payload)"} {
		large := fresh(2, "shop.a", "k")
		large.Data = make([]byte, bytes)
		if err := sink.Send(t.Context(), large); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "message shop.v1.2.0 has "+strconv.Itoa(bytes)) {
			t.Errorf("with %d bytes it is %v, must have %q", bytes, err, want)
		}
	}
	if err := sink.Send(t.Context(), fresh(2, "$JS.API.STREAM.DELETE.SHOP", "k")); !errors.As(err, &refused) {
		t.Errorf("with a subject of the server's own it is %v", err)
	}
	if err := sink.Send(t.Context(), fresh(2, "shop.a", "k")); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), fresh(3, "shop.a", "k")); !errors.As(err, &unavailable) ||
		!strings.Contains(err.Error(), "JetStream refuses it: maximum messages exceeded") {
		t.Errorf("with a full stream it is %v", err)
	}
	if err := js.DeleteStream(t.Context(), stream.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the sink knows that the stream is gone", func() bool {
		err := sink.Send(t.Context(), fresh(4, "shop.a", "k"))
		return err != nil && strings.Contains(err.Error(), "no stream of JetStream")
	})
}

// TestSink_waitsForServers opens a sink before there is a server.
func TestSink_waitsForServers(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
	cluster.Kill(0)
	sink := openSink(t, cluster.URL(), jetstream.Options{Timeout: time.Second})
	err := sink.Send(t.Context(), fresh(1, "shop.a", "k"))
	if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "it is not connected: ") ||
		!strings.HasPrefix(err.Error(), "NATS at "+cluster.URL()) {
		t.Errorf("without a server the error is %v", err)
	}
	if err := cluster.Restart(0); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the server has the message", func() bool { return sink.Send(t.Context(), fresh(1, "shop.a", "k")) == nil })
}

// TestSink_storesOnceWhateverDies kills servers while messages of many keys are sent, each until the sink has it. All are
// there once, in the order of their key.
func TestSink_storesOnceWhateverDies(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			t.Parallel()
			const keys, each, kills = 20, 150, 3
			cluster := natstest.StartCluster(t, nodes)
			js := connect(t, cluster.URL())
			createStream(t, js, natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}, Replicas: nodes})
			sink := openSink(t, cluster.URL(), jetstream.Options{Timeout: 2 * time.Second})
			sent := make(chan struct{}, keys*each)
			var group sync.WaitGroup
			for key := range keys {
				group.Go(func() {
					subject := fmt.Sprintf("shop.k%d", key)
					for n := range each {
						message := fresh(int64(key*each+n+1), subject, subject)
						for sink.Send(t.Context(), message) != nil && t.Context().Err() == nil {
						}
						sent <- struct{}{}
					}
				})
			}
			for range kills {
				for range keys * each / (kills + 1) {
					<-sent
				}
				node := rand.N(nodes)
				cluster.Kill(node)
				if err := cluster.Restart(node); err != nil {
					t.Fatal(err)
				}
				if err := cluster.WaitReady(); err != nil {
					t.Fatal(err)
				}
			}
			group.Wait()
			last := map[string]int64{}
			stored := messagesOf(t, js, "SHOP")
			for _, message := range stored {
				id, err := store.ParseMessageID(message.Header.Get("Nats-Msg-Id"))
				if err != nil || id.Position <= last[message.Subject] {
					t.Fatalf("%s is behind position %d of its key (%v)", id, last[message.Subject], err)
				}
				last[message.Subject] = id.Position
			}
			if len(stored) != keys*each {
				t.Errorf("the stream has %d messages, must have %d", len(stored), keys*each)
			}
		})
	}
}

// TestSink_showsItsCredentials connects by each kind of them, and with wrong ones.
func TestSink_showsItsCredentials(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t)
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := user.Seed()
	public, _ := user.PublicKey()
	nkey := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(nkey, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "s3cret"
	atLocalhost := func(url string) string { return strings.Replace(url, "nats://127.0.0.1", "tls://localhost", 1) }
	withUser := func(user string) func(string) string {
		return func(url string) string { return strings.Replace(url, "//", "//"+user+"@", 1) }
	}
	for name, of := range map[string]struct {
		setting string
		url     func(string) string
		options jetstream.Options
		fault   string // "" where it connects
		own     []nats.Option
	}{
		"a token":            {setting: "authorization: { token: " + secret + " }", options: jetstream.Options{Token: secret}, own: []nats.Option{nats.Token(secret)}},
		"a token in the URL": {setting: "authorization: { token: " + secret + " }", url: withUser(secret), own: []nats.Option{nats.Token(secret)}},
		"another token":      {setting: "authorization: { token: x }", options: jetstream.Options{Token: secret}, fault: "authorization violation: check the user", own: []nats.Option{nats.Token("x")}},
		"a password":         {setting: "authorization: { user: u, password: " + secret + " }", options: jetstream.Options{User: "u", Password: secret}, own: []nats.Option{nats.UserInfo("u", secret)}},
		"another in the URL": {setting: "authorization: { user: u, password: x }", url: withUser("u:" + secret), fault: "authorization violation: check the user", own: []nats.Option{nats.UserInfo("u", "x")}},
		"an NKey":            {setting: "authorization: { users: [ { nkey: " + public + " } ] }", options: jetstream.Options{NKeyFile: nkey}},
		"a certificate":      {setting: fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", certificate, key, certificate), url: atLocalhost, options: jetstream.Options{CAFile: certificate, CertFile: certificate, KeyFile: key}, own: []nats.Option{nats.RootCAs(certificate), nats.ClientCert(certificate, key)}},
		"no certificate":     {setting: fmt.Sprintf("tls { cert_file: %q, key_file: %q }", certificate, key), url: atLocalhost, fault: "certificate", own: []nats.Option{nats.RootCAs(certificate)}},
		"no more rights than it needs": {setting: `authorization: { users: [ { user: a, password: a }, { user: u, password: u, permissions: {
			publish: ["shop.>", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"], subscribe: ["_INBOX.>"]
		} } ] }`, options: jetstream.Options{User: "u", Password: "u"}, own: []nats.Option{nats.UserInfo("a", "a")}},
		"no right to publish": {setting: `authorization: { users: [ { user: a, password: a }, { user: u, password: ` + secret + `, permissions: { publish: ["$JS.>"] } } ] }`, options: jetstream.Options{User: "u", Password: secret}, fault: `permissions violation for publish to "shop.a": give the user this right`, own: []nats.Option{nats.UserInfo("a", "a")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := natstest.StartCluster(t, 1, of.setting)
			url := cluster.URL()
			if of.url != nil {
				url = of.url(url)
			}
			own := of.own
			if own == nil {
				own = []nats.Option{nats.Nkey(public, user.Sign)}
			}
			ownURL := strings.Replace(cluster.URL(), "127.0.0.1", "localhost", 1)
			createStream(t, connect(t, ownURL, own...), natsjs.StreamConfig{Name: "SHOP", Subjects: []string{"shop.>"}})
			of.options.Timeout = 3 * time.Second
			sink := openSink(t, url, of.options)
			err := sink.Send(t.Context(), fresh(1, "shop.a", "k"))
			if err == nil {
				err = sink.Send(t.Context(), aged(fresh(2, "shop.a", "k"), time.Hour))
			}
			switch {
			case of.fault == "" && err != nil:
				t.Errorf("the error is %v", err)
			case of.fault != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), of.fault) || strings.Contains(err.Error(), secret)):
				t.Errorf("the error is %v, must have %q", err, of.fault)
			}
		})
	}
}
