package sqlite

import (
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestOutbox_plansByIndex looks at the plans of what a relay asks all the time and of what commits and promotions do: none
// reads all messages, or all parked events.
func TestOutbox_plansByIndex(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir()+"/test.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	fixed := reflect.ValueOf(s.queries.outbox)
	for i := range fixed.NumField() {
		texts[fixed.Type().Field(i).Name] = fixed.Field(i).String()
	}
	// These are the beginnings of others, or of what somebody asks for who has all messages sent again.
	maps.DeleteFunc(texts, func(name, _ string) bool {
		return strings.HasSuffix(strings.ToLower(name), "messages") || name == "retryFailures" || name == "sendAgain"
	})
	id := &store.MessageID{Projection: "a", Version: 1}
	for name, request := range map[string]store.MessagesRequest{
		"failed messages": {State: store.MessageFailed}, "a message": {ID: id}, "a page": {Projection: "a", Limit: 9},
		"the next page": {Projection: "a", Limit: 9, After: store.OutboxID{MessageID: *id}},
	} {
		texts[name], _ = backend{s}.messagesStatement(&request)
	}
	parameter := regexp.MustCompile(`\$[0-9]+`)
	scan := regexp.MustCompile(`^SCAN (o|b|e|k|pupwasm__outbox|pupwasm__parked_events)( |$)`)
	err = s.read(t.Context(), func(c *conn) error {
		for name, text := range texts {
			err := c.query("EXPLAIN QUERY PLAN "+parameter.ReplaceAllString(text, "1"), func(row *prepared) error {
				if plan := row.ColumnText(3); scan.MatchString(plan) && name != "put" { // which has a row of its own
					t.Errorf("%s: %s", name, plan)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
