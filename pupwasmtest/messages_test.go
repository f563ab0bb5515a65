package pupwasmtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/pupwasmtest"
)

func TestMessages_areThoseOfWhen(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/order_messages.wasm"
	if err := os.WriteFile(path, guestbuild.Example(t, guestbuild.Go, "order_messages"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &caught{TB: t}
	p := pupwasmtest.Load(c, path, pupwasmtest.Options{Rounds: -1})
	cancelled := func(order string) *pupwasmtest.Case {
		return p.Given(pupwasmtest.Event("Shop/Order/1", "OrderPlaced", map[string]any{"user_id": "ann", "total": 1})).
			When(pupwasmtest.Event("Shop/Order/"+order, "OrderCancelled", nil))
	}
	for _, test := range []struct {
		want     string
		messages []pupwasmtest.Message
	}{
		{"", []pupwasmtest.Message{{Subject: "shop.orders.a%20b.cancelled"}}},
		{"", []pupwasmtest.Message{{
			Subject: "shop.orders.a%20b.cancelled", Key: "a b", Type: "order_cancelled", Data: map[string]string{"order": "a b"},
		}}},
		{`message shop.orders.a%20b.cancelled: data is {"order":"a b"}, want {"order":"a"}`, []pupwasmtest.Message{{
			Subject: "shop.orders.a%20b.cancelled", Data: map[string]string{"order": "a"},
		}}},
		{"there is a message besides: subject=shop.orders.a%20b.cancelled ", nil},
		{"message m: column data: json: ", []pupwasmtest.Message{{Subject: "m", Data: func() {}}}},
	} {
		said := c.run(func() { cancelled("a b").Then(pupwasmtest.Messages(test.messages...)) })
		if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
			t.Errorf("said %q, want %q", said, test.want)
		}
	}
}
