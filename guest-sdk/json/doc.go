// Package json reads JSON in one pass over the bytes, without reflection and, but for strings with escapes, without allocating.
// It is made for payloads of events: a few known fields out of an object, as fast as a guest can.
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
// A value that is not read is passed over. A loop may be left early: what comes after is not read, and so not checked. When
// one field is all that is wanted, [Reader.Find] goes there by path.
//
// Numbers are exact or an error: [Reader.Int64] and [Reader.Decimal] never round. The first error sticks: from then on every
// value is zero and every loop ends, so that it is enough to ask once.
//
// Text is JSON as RFC 8259 has it, in UTF-8, with containers nested 64 deep at most. A lone half of a surrogate pair reads as
// U+FFFD, as in encoding/json. When an object has a field twice, a loop sees both, in order, and Find the first.
package json
