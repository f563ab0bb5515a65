package eventschema

import "testing"

func BenchmarkCheck(b *testing.B) {
	set := load(b, "order.json", order)
	payload := []byte(`{"order_id":"a1","total":12.50,"count":3,"state":"new","at":"2026-01-02T03:04:05Z",` +
		`"lines":[{"price":1.25},{"price":2.5}],"next":null,"pay":{"kind":"cash","till":7}}`)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := set.Check(Event{"OrderPlaced", 2}, payload); err != nil {
			b.Fatal(err)
		}
	}
}
