// Package json reads JSON in one pass, without reflection, and without allocating except for strings with
// escapes. It is made for payloads of events: a few known fields of an object, as fast as possible.
//
//	var user, currency string
//	var cents int64
//	r := e.JSON() // or json.NewReader(data)
//	for o := r.Object(); o.Next(); {
//		switch o.Key() {
//		case "user_id":
//			user = r.Text()
//		case "total":
//			cents = r.Decimal(2)
//		case "address":
//			for address := r.Object(); address.Next(); {
//				…
//			}
//		}
//	}
//	if err := r.Err(); err != nil {
//		return err
//	}
//
// Unread values are skipped. You may leave a loop early; the rest is then neither read nor checked. For a
// single field use [Reader.Find], which takes a path.
//
// Numbers are exact or an error: [Reader.Int64] and [Reader.Decimal] never round. The first error stays: from
// then on every value is zero and every loop ends, so one check at the end is enough.
//
// Text is JSON as RFC 8259 has it, in UTF-8, with containers nested 64 deep at most. A lone half of a surrogate
// pair reads as U+FFFD, as in encoding/json. When an object has a field twice, a loop sees both, in order, and
// Find the first.
package json
