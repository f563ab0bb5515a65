package json_test

import (
	"testing"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

var finePayload = []byte(`{"amount":62.59,"resource":"18","dismissal":"NIL","vehicleClass":"A","totalPaymentAmount":0.0,"article":158,"points":0}`)

func BenchmarkReader_object(b *testing.B) {
	r := json.NewReader(nil)
	b.SetBytes(int64(len(finePayload)))
	for b.Loop() {
		r.Reset(finePayload)
		for o := r.Object(); o.Next(); {
			if o.Key() == "amount" {
				if r.Decimal(2) != 6259 {
					b.Fatal("wrong amount")
				}
			}
		}
	}
}
