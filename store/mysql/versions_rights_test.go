package mysql_test

import (
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/mariadbtest"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
)

// TestVersions_ofAUserOfItsOwn has a host with no rights but those of GrantSQL, and an administrator promote in between.
func TestVersions_ofAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	at := mariadbtest.New(t)
	db, admin := at.Connect(t), open(t, at.URL, mysql.Options{})
	reader(t, at, db, "hosts_versions")
	execute(t, db, mysql.GrantSQL(at.Name, store.DefaultSchema, "sums", "hosts_versions"))
	s := open(t, at.Server.URLAs("hosts_versions", "", at.Name), mysql.Options{})
	versions(t, db, at, s, 1, 2)
	for _, host := range []mysql.Backend{s, admin, s} {
		for _, version := range []int{2, 1} {
			promote(t, host, version)
			if got := wantOneVersion(t, db, at); got != version {
				t.Errorf("version %d is live, want %d", got, version)
			}
			if _, err := host.Install(t.Context(), shown(1), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	useOutbox(t, s)
	if err := s.Retire(t.Context(), sumsOf(2)); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, db, at, "sums; sums__v1")
	if err := s.Reset(t.Context(), "sums"); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, db, at, "")
}

// useOutbox has a host do all that hosts, relays and users do with the messages of the live version, 1.
func useOutbox(t *testing.T, s mysql.Backend) {
	t.Helper()
	appendTo(t, s, "stream", 10)
	log, err := s.OwnLog(t.Context())
	must(t, err)
	must(t, s.BeginSending(t.Context(), shown(1), log, 0))
	catalogue, err := s.Install(t.Context(), shown(1), 2)
	must(t, err)
	worker := store.Worker{Name: "w"}
	must(t, s.Join(t.Context(), worker, time.Hour))
	claims, err := s.Claim(t.Context(), store.ClaimRequest{Projection: sumsOf(1), Worker: "w", Limit: 1})
	must(t, err)
	must(t, catalogue.Begin(claims[0]).Commit(t.Context(), store.Commit{
		Through: claims[0].Position + 1, Log: claims[0].Applied.Log, Messages: []store.Message{
			aMessage(sumsOf(1), 6, 0, "a"), aMessage(sumsOf(1), 6, 1, "b"), aMessage(sumsOf(1), 6, 2, "a"),
		},
	}))
	_, err = s.ClaimRelays(t.Context(), worker, nil, "here")
	must(t, err)
	pending := func(want int) []store.OutboxMessage {
		t.Helper()
		all, err := s.Pending(t.Context(), "sums", 10, 1<<20)
		must(t, err)
		if len(all) != want {
			t.Errorf("%d messages are pending, want %d", len(all), want)
		}
		return all
	}
	all := pending(3)
	failed := store.Undelivered{OutboxID: all[0].ID(), Key: all[0].Key, Error: "x", RetryAfter: -1}
	must(t, s.Undelivered(t.Context(), []store.Undelivered{failed}))
	pending(1)
	must(t, s.Sent(t.Context(), ids(all)[1:2], true))
	n, err := s.Resend(t.Context(), store.MessagesRequest{})
	if must(t, err); n != 2 {
		t.Errorf("%d are sent again", n)
	}
	must(t, s.Sent(t.Context(), ids(pending(2))[:1], false))
	must(t, s.SkipMessage(t.Context(), pending(2)[0].MessageID))
	_, err = s.OutboxStatus(t.Context())
	must(t, err)
	_, err = s.Messages(t.Context(), store.MessagesRequest{})
	must(t, err)
	_, err = s.DeleteSent(t.Context(), "sums", 0)
	must(t, err)
	must(t, s.ReleaseRelays(t.Context(), worker, []string{"sums"}))
	must(t, s.Leave(t.Context(), worker))
}
