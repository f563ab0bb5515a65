package main_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay/jetstream"
)

// streamOf returns a stream of a cluster, which is there once a relay has begun.
func streamOf(t *testing.T, url, name string) natsjs.Stream {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	var stream natsjs.Stream
	testwait.Until(t, "the stream is there", func() bool {
		stream, err = js.Stream(t.Context(), name)
		return err == nil
	})
	return stream
}

// sequenceOf is the sequence of a stream's last message.
func sequenceOf(t *testing.T, stream natsjs.Stream) uint64 {
	t.Helper()
	var last uint64
	testwait.Until(t, "the stream answers", func() bool {
		info, err := stream.Info(t.Context())
		if err == nil {
			last = info.State.LastSeq
		}
		return err == nil
	})
	return last
}

// TestRelay_isExactWhateverIsKilled has two relays of one log compete, kills them and the server at random, and starts them
// again.
func TestRelay_isExactWhateverIsKilled(t *testing.T) {
	t.Parallel()
	const events = 20_000
	cluster := natstest.StartCluster(t, 1)
	database := pgtest.Empty(t).DSN
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(numberedLines(events), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, database, "migrate", "up")
	relay := func() *process { return start(t, database, "relay", "--to", cluster.URL(), "--nats-timeout", "2s") }
	relays := [2]*process{relay(), relay()}
	stream := streamOf(t, cluster.URL(), "EVENTS")
	appending := start(t, database, "append", "--batch", "200", file)
	for last := uint64(0); last < events; {
		testwait.Until(t, "more is copied", func() bool {
			next := sequenceOf(t, stream)
			return next >= min(last+events/8, events)
		})
		last = sequenceOf(t, stream)
		if rand.N(3) == 0 {
			cluster.Kill(0)
			if err := cluster.Restart(0); err != nil {
				t.Fatal(err)
			}
			continue
		}
		killed := rand.N(2)
		relays[killed].signal(syscall.SIGKILL)
		relays[killed].wait(t)
		relays[killed] = relay()
	}
	if code := appending.wait(t); code != 0 {
		t.Fatalf("append exits with %d: %s", code, appending.output)
	}
	for _, running := range relays {
		running.awaitLog(t, "connected to NATS")
		running.signal(syscall.SIGTERM)
		if code := running.wait(t); code != 0 {
			t.Errorf("a relay exits with %d: %s", code, running.output)
		}
	}
	if last := sequenceOf(t, stream); last != events {
		t.Fatalf("the stream has %d messages, must have %d", last, events)
	}
	position := int64(0)
	for n := range events {
		message, err := stream.GetMsg(t.Context(), uint64(n+1))
		if err != nil {
			t.Fatal(err)
		}
		event, _, err := jetstream.Event(message.Header, message.Data)
		if err != nil || string(event.Payload) != strconv.Itoa(n) || event.Position <= position {
			t.Fatalf("message %d has %+v behind position %d (%v)", n+1, event, position, err)
		}
		position = event.Position
	}
}

// TestRelay_saysHowItEnds at the end of the log, when it is stopped, and when it cannot begin.
func TestRelay_saysHowItEnds(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, 1)
	url := strings.Replace(cluster.URL(), "//", "//user:s3cret@", 1)
	database := "sqlite:" + filepath.Join(t.TempDir(), "events.db")
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(numberedLines(10), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, database, "append", file)
	var report struct {
		Stream                     string
		Sequence, Position, Copied int64
	}
	if err := json.Unmarshal([]byte(run(t, database, "relay", "--to", url, "--once", "--json")), &report); err != nil {
		t.Fatal(err)
	}
	if report.Stream != "EVENTS" || report.Sequence != 10 || report.Position != 10 || report.Copied != 10 {
		t.Errorf("it has copied %+v", report)
	}
	if out := run(t, database, "relay", "--to", url, "--once"); !strings.HasPrefix(out, "0 events copied to stream EVENTS, which is at position 10, in ") {
		t.Errorf("the next one prints %q", out)
	}
	running := start(t, database, "relay", "--to", url)
	running.awaitLog(t, "caught up")
	running.signal(syscall.SIGTERM)
	if code := running.wait(t); code != 0 {
		t.Errorf("it exits with %d: %s", code, running.output)
	}
	for _, of := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "--to is missing"},
		{"--to https://user:s3cret@host", 2, "the URL of NATS has the scheme"},
		{"--to " + url + " --stream a.b", 2, `the stream "a.b"`},
		{"--to " + url + " --nats-creds none", 2, "no such file"},
		{"--to " + url + " --retry -1s --once", 2, "--retry"},
		{"--to nats://user:s3cret@127.0.0.1:1 --once --retry 1ms --nats-timeout 10ms", 4, "NATS at nats://127.0.0.1:1: it is not connected"},
		{"--to nats://127.0.0.1:1 --once --retry 0s --nats-timeout 1h", 4, "NATS at nats://127.0.0.1:1: it is not connected: "},
		{"--to " + url + " --stream LATE --subject-prefix late --after 11 --once", 1, "begin behind position 11, the log can be read up to 10"},
		{"--to " + url + " --subject-prefix other --once", 1, "stream EVENTS takes the subjects events.>, must take other.>"},
	} {
		failing := start(t, database, append([]string{"relay"}, strings.Fields(of.args)...)...)
		if code := failing.wait(t); code != of.code || !strings.Contains(failing.output.String(), of.want) {
			t.Errorf("relay %s exits with %d: %s", of.args, code, failing.output)
		}
		if strings.Contains(failing.output.String(), "s3cret") {
			t.Errorf("relay %s prints the password: %s", of.args, failing.output)
		}
	}
	t.Run("config", func(t *testing.T) {
		t.Parallel()
		shown := start(t, database, "config", "show", "relay", "--to", url)
		shown.wait(t)
		if strings.Contains(shown.output.String(), "s3cret") {
			t.Errorf("the configuration is shown as %s", shown.output)
		}
	})
}
