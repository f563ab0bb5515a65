package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/pupwasm/pupwasm/internal/natstest"
	"github.com/pupwasm/pupwasm/internal/testwait"
	"github.com/pupwasm/pupwasm/relay/jetstream"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// newLog opens a log of its own in a new file.
func newLog(t testing.TB) store.Store {
	t.Helper()
	return logAt(t, filepath.Join(t.TempDir(), "log.db"))
}

func logAt(t testing.TB, path string) store.Store {
	t.Helper()
	db, err := sqlite.Open(path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db.Backend()
}

// appendTo appends events whose payloads are numbers from first on, to several streams.
func appendTo(t *testing.T, log store.Store, first, count int) {
	t.Helper()
	appends := make([]store.StreamAppend, count)
	for i := range appends {
		appends[i] = store.StreamAppend{
			Stream:   store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: fmt.Sprint((first + i) % 97)},
			Expected: store.Any(), Events: []store.Event{{Type: "Placed", Payload: []byte(fmt.Sprint(first + i))}},
		}
	}
	if _, err := log.AppendBulk(t.Context(), store.AppendOptions{}, appends...); err != nil {
		t.Fatal(err)
	}
}

func openCopy(t *testing.T, url string, log store.Log, options jetstream.CopyOptions) *jetstream.Copy {
	t.Helper()
	c, err := jetstream.OpenCopy(t.Context(), url, log, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// copyOnce copies what there is.
func copyOnce(t *testing.T, url string, log store.Log, options jetstream.CopyOptions) jetstream.CopyProgress {
	t.Helper()
	copied, err := openCopy(t, url, log, options).Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// eventsOf reads a log.
func eventsOf(t *testing.T, log store.Log, after int64) []store.RecordedEvent {
	t.Helper()
	horizon, err := log.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []store.RecordedEvent
	for after < horizon.Position {
		var page store.Page
		request := store.ReadRequest{
			After: after, Through: horizon.Position, Limit: 5000, Range: store.FullRange(),
			Columns: store.AllColumns &^ store.ColumnPartitionHash,
		}
		if err := log.Read(t.Context(), request, &page); err != nil {
			t.Fatal(err)
		}
		all, after = append(all, page.Events...), page.Through
	}
	return all
}

// wantCopy fails unless the stream has every event behind a position once and in order.
func wantCopy(t *testing.T, js natsjs.JetStream, name string, log store.Log, after int64) {
	t.Helper()
	events, messages := eventsOf(t, log, after), messagesOf(t, js, name)
	if len(messages) != len(events) {
		t.Fatalf("the stream has %d messages, the log has %d events", len(messages), len(events))
	}
	for i := range messages {
		event, _, err := jetstream.Event(messages[i].Header, messages[i].Data)
		event.CreatedAt, events[i].CreatedAt = event.CreatedAt.UTC(), events[i].CreatedAt.UTC()
		event.Payload, events[i].Payload = append([]byte{}, event.Payload...), append([]byte{}, events[i].Payload...)
		if err != nil || !reflect.DeepEqual(event, events[i]) {
			t.Fatalf("message %d has %+v, must have %+v (%v)", i+1, event, events[i], err)
		}
	}
}

func TestCopy_hasEveryEventOnceInOrder(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	log := newLog(t)
	if copied := copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{}); copied.Position != 0 || copied.Copied != 0 {
		t.Errorf("of an empty log it is %+v", copied)
	}
	appendTo(t, log, 0, 2500)
	hostile := "\r\nNats-Rollup: all\r\n\r\nx.*.>"
	odd := store.Event{
		Type: hostile, TraceID: hostile, CorrelationID: strings.Repeat("ü", 400), CausationID: hostile, Payload: []byte("\x00\xff"),
		Metadata: []byte(`{"large": "` + strings.Repeat("x", 500_000) + `"}`),
	}
	if _, err := log.AppendBulk(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream:   store.Stream{BoundedContext: hostile, AggregateType: ">", AggregateID: strings.Repeat("ö", 400)},
		Expected: store.Any(), Events: []store.Event{odd},
	}); err != nil {
		t.Fatal(err)
	}
	copied := copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{})
	if copied.Position != 2501 || copied.Sequence != 2501 || copied.Copied != 2501 || copied.Stream != "EVENTS" {
		t.Errorf("it is %+v", copied)
	}
	appendTo(t, log, 2500, 100)
	if copied := copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{}); copied.Sequence != 2601 || copied.Copied != 100 {
		t.Errorf("the next one is %+v", copied)
	}
	wantCopy(t, js, "EVENTS", log, 0)
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{Stream: "LATE", Prefix: "late.shop", After: 2590})
	wantCopy(t, js, "LATE", log, 2590)
	late, err := js.Stream(t.Context(), "LATE")
	if err != nil {
		t.Fatal(err)
	}
	config := late.CachedInfo().Config
	if message, err := late.GetLastMsgForSubject(t.Context(), "late.shop.Shop.Order.75.Placed"); err != nil ||
		!config.DenyDelete || !config.DenyPurge || config.Storage != natsjs.FileStorage || config.Replicas != 1 {
		t.Errorf("the stream is %+v, its last message on a subject %+v (%v)", config, message, err)
	}
}

// TestCopy_follows copies while events are appended, until it is stopped.
func TestCopy_follows(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	log := newLog(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	told := make(chan jetstream.CopyProgress, 1)
	c := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{Progress: func(p jetstream.CopyProgress) {
		select {
		case <-told:
		default:
		}
		told <- p
	}})
	go func() { ended <- c.Run(ctx) }()
	for i := range 5 {
		appendTo(t, log, 10*i, 10)
		testwait.Until(t, "the events are copied", func() bool { return (<-told).Position == int64(10*i+10) })
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) || c.Copied().Copied != 50 {
		t.Errorf("it ends with %v and %+v", err, c.Copied())
	}
	wantCopy(t, js, "EVENTS", log, 0)
}

// TestCopy_refusesStreamsThatLoseMessages and those that others use.
func TestCopy_refusesStreamsThatLoseMessages(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	log := newLog(t)
	appendTo(t, log, 0, 3)
	createStream(t, js, natsjs.StreamConfig{Name: "OTHER", Subjects: []string{"other"}})
	i := 0
	for name, of := range map[string]struct {
		change func(*natsjs.StreamConfig)
		want   string
	}{
		"age":           {func(c *natsjs.StreamConfig) { c.MaxAge = time.Hour }, "drops messages by age"},
		"number":        {func(c *natsjs.StreamConfig) { c.MaxMsgs = 1_000_000 }, "drops messages by age"},
		"bytes":         {func(c *natsjs.StreamConfig) { c.MaxBytes = 1 << 20 }, "drops messages by age"},
		"of a subject":  {func(c *natsjs.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "drops messages by age"},
		"interest":      {func(c *natsjs.StreamConfig) { c.Retention = natsjs.InterestPolicy }, "drops messages that were read"},
		"work queue":    {func(c *natsjs.StreamConfig) { c.Retention = natsjs.WorkQueuePolicy }, "drops messages that were read"},
		"memory":        {func(c *natsjs.StreamConfig) { c.Storage = natsjs.MemoryStorage }, "may lose messages"},
		"asynchronous":  {func(c *natsjs.StreamConfig) { c.PersistMode = natsjs.AsyncPersistMode }, "may lose messages"},
		"roll-ups":      {func(c *natsjs.StreamConfig) { c.AllowRollup = true }, "has roll-ups"},
		"no answers":    {func(c *natsjs.StreamConfig) { c.NoAck = true }, "no acknowledgements"},
		"sources":       {func(c *natsjs.StreamConfig) { c.Sources = []*natsjs.StreamSource{{Name: "OTHER"}} }, "messages of other streams"},
		"more subjects": {func(c *natsjs.StreamConfig) { c.Subjects = append(c.Subjects, "more") }, "must take p"},
	} {
		i++
		config := natsjs.StreamConfig{Name: fmt.Sprintf("S%d", i), Subjects: []string{fmt.Sprintf("p%d.>", i)}}
		of.change(&config)
		createStream(t, js, config)
		_, err := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{Stream: config.Name, Prefix: fmt.Sprintf("p%d", i)}).Once(t.Context())
		var unfit *jetstream.StreamError
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), of.want) || !strings.HasPrefix(err.Error(), "stream "+config.Name+" ") {
			t.Errorf("%s: the error is %v, must have %q", name, err, of.want)
		}
	}
	for name, of := range map[string]struct {
		options jetstream.CopyOptions
		want    string
	}{
		"subjects of another stream": {jetstream.CopyOptions{Stream: "MINE", Prefix: "p1"}, "cannot be created: subjects overlap with an existing stream: choose another prefix"},
		"replicas":                   {jetstream.CopyOptions{Stream: "MINE", Replicas: 3}, "cannot have 3 replicas"},
	} {
		if _, err := openCopy(t, cluster.URL(), log, of.options).Once(t.Context()); err == nil || !strings.Contains(err.Error(), of.want) {
			t.Errorf("%s: the error is %v, must have %q", name, err, of.want)
		}
	}
}

// TestCopy_goesOnOnlyBehindWhatTheLogHas copies of other logs, of one that has lost events, and behind messages of others.
func TestCopy_goesOnOnlyBehindWhatTheLogHas(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	path := filepath.Join(t.TempDir(), "log.db")
	log := logAt(t, path)
	appendTo(t, log, 0, 10)
	backup := filepath.Join(t.TempDir(), "backup.db")
	copyFile(t, log, path, backup)
	appendTo(t, log, 10, 5)
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{})
	refused := func(what string, log store.Log, want string) {
		t.Helper()
		_, err := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{}).Once(t.Context())
		var unfit *jetstream.StreamError
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, must have %q", what, err, want)
		}
	}
	other := newLog(t)
	appendTo(t, other, 0, 20)
	refused("another log", other, "is a copy of log ")
	restored := logAt(t, backup)
	refused("a log that has lost events", restored, "the log ends at 10: it has lost events")
	appendTo(t, restored, 100, 20)
	refused("and has others in their place", restored, "where the log has ")
	wantCopy(t, js, "EVENTS", log, 0)

	if _, err := js.Publish(t.Context(), "events.foreign", nil); err != nil {
		t.Fatal(err)
	}
	refused("a message of others", log, "has messages of others: its last one, 16 on events.foreign, has no event")
	refused("and how to go on", log, "Have nobody else send to events.>. Delete the stream, so that it is copied anew, or name another")
	if err := js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{})
	wantCopy(t, js, "EVENTS", log, 0)

	createStream(t, js, natsjs.StreamConfig{Name: "OPEN", Subjects: []string{"open.>"}})
	options := jetstream.CopyOptions{Stream: "OPEN", Prefix: "open"}
	copyOnce(t, cluster.URL(), log, options)
	stream, err := js.Stream(t.Context(), "OPEN")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 15); err != nil {
		t.Fatal(err)
	}
	if _, err := openCopy(t, cluster.URL(), log, options).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "the last one was deleted") {
		t.Errorf("without its last message the error is %v", err)
	}
}

// copyFile copies the file of a log as it is now.
func copyFile(t *testing.T, log store.Store, from, to string) {
	t.Helper()
	db, err := sqlite.OpenSQL(from)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "VACUUM INTO '"+to+"'"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(to); err != nil {
		t.Fatal(err)
	}
}

// TestCopy_stopsAtWhatServersDoNotTake and goes on once they do.
func TestCopy_stopsAtWhatServersDoNotTake(t *testing.T) {
	t.Parallel()
	cluster, js := server(t, "max_payload: 100000")
	log := newLog(t)
	appendTo(t, log, 0, 3)
	if _, err := log.AppendBulk(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream:   store.Stream{BoundedContext: "Shop", AggregateType: "Order", AggregateID: "large"},
		Expected: store.Any(), Events: []store.Event{{Type: "Placed", Payload: make([]byte, 100_000)}},
	}); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, 3, 3)
	c := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{})
	copied, err := c.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the event at position 4 cannot be copied: the servers take messages of at most 100000") {
		t.Errorf("it ends with %v", err)
	}
	if stored := messagesOf(t, js, "EVENTS"); len(stored) != 3 || copied.Horizon != 7 {
		t.Errorf("%d events are copied (%+v)", len(stored), copied)
	}
}

// TestCopy_beginsWithinTheLog and leaves out nothing that is appended later.
func TestCopy_beginsWithinTheLog(t *testing.T) {
	t.Parallel()
	cluster, js := server(t)
	log := newLog(t)
	appendTo(t, log, 0, 10)
	_, err := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{After: 11}).Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "begin behind position 11, the log can be read up to 10: ") {
		t.Errorf("behind the end of the log the error is %v", err)
	}
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{After: 10})
	appendTo(t, log, 10, 5)
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{After: 10})
	wantCopy(t, js, "EVENTS", log, 10)
	copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{After: 100}) // of no meaning any more
}

// TestCopy_givesUpInTheEnd without servers, and says why.
func TestCopy_givesUpInTheEnd(t *testing.T) {
	t.Parallel()
	cluster, _ := server(t)
	log := newLog(t)
	cluster.Kill(0)
	c := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{
		GiveUp: time.Millisecond, Options: jetstream.Options{Timeout: 50 * time.Millisecond},
	})
	if _, err := c.Once(t.Context()); !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "it is not connected") {
		t.Errorf("it ends with %v", err)
	}
	for _, patience := range []time.Duration{1, time.Second} { // whatever NATS may take to acknowledge a message
		began := time.Now()
		c := openCopy(t, cluster.URL(), log, jetstream.CopyOptions{
			GiveUp: patience, Options: jetstream.Options{Timeout: testwait.Patience},
		})
		if _, err := c.Once(t.Context()); !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), "it is not connected: ") {
			t.Errorf("after %s it ends with %v", patience, err)
		}
		if took := time.Since(began); took < patience || took > testwait.Patience/2 {
			t.Errorf("it gives up after %s, must after %s", took, patience)
		}
	}
	for name, options := range map[string]jetstream.CopyOptions{
		"stream": {Stream: "a.b"}, "prefix": {Prefix: "$JS"}, "replicas": {Replicas: 9}, "position": {After: -1},
		"interval": {PollMax: time.Microsecond}, "time": {GiveUp: -1},
	} {
		if _, err := jetstream.OpenCopy(t.Context(), cluster.URL(), log, options); err == nil {
			t.Errorf("with a %s that is none it opens", name)
		}
	}
}

// TestCopy_needsNoMoreRights than its comment says.
func TestCopy_needsNoMoreRights(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, 1, `authorization: { users: [ { user: a, password: a }, { user: u, password: u, permissions: {
		publish: ["events.>", "$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS"],
		subscribe: ["_INBOX.>"]
	} } ] }`)
	log := newLog(t)
	for i := range 2 {
		appendTo(t, log, 10*i, 10)
		copyOnce(t, cluster.URL(), log, jetstream.CopyOptions{Options: jetstream.Options{User: "u", Password: "u"}})
	}
	wantCopy(t, connect(t, cluster.URL(), nats.UserInfo("a", "a")), "EVENTS", log, 0)
}
