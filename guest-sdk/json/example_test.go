package json_test

import (
	"fmt"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

func ExampleReader() {
	r := json.NewReader([]byte(`{"user_id":"u1","items":[{"sku":"tea","price":2.5},{"sku":"cup","price":7}],"currency":"EUR"}`))
	var user string
	var cents int64
	for o := r.Object(); o.Next(); {
		switch o.Key() {
		case "user_id":
			user = r.Text()
		case "items":
			for a := r.Array(); a.Next(); {
				for item := r.Object(); item.Next(); {
					if item.Key() == "price" {
						cents += r.Decimal(2)
					}
				}
			}
		}
	}
	fmt.Println(user, cents, r.Err())
	// Output: u1 950 <nil>
}

func ExampleReader_Find() {
	r := json.NewReader([]byte(`{"customer":{"addresses":[{"city":"Köln"}]}}`))
	if r.Find("customer.addresses.0.city") {
		fmt.Println(r.Text())
	}
	// Output: Köln
}

func ExampleReader_Decimal() {
	r := json.NewReader([]byte(`{"total":12.345}`))
	if r.Find("total") {
		fmt.Println(r.Decimal(2), r.Err())
	}
	// Output: 0 json: key "total", offset 9: is a number with more decimals than asked for
}

func ExampleError() {
	r := json.NewReader([]byte(`{"total":"12"}`))
	if r.Find("total") {
		r.Int64()
	}
	fmt.Println(r.Err())
	// Output: json: key "total", offset 9: is a string, not a number of 0 to 18 decimals
}
