package typed

import (
	"encoding/base64"
	"strconv"
	"time"
	"unsafe"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// IntBits is the size of int and uint: 64, and 32 in modules of TinyGo.
const IntBits = strconv.IntSize

// Time reads a text of RFC 3339 as [time.Time.UnmarshalJSON] does. null leaves the time as it is.
func Time(r *json.Reader, into *time.Time) {
	if r.Null() {
		return
	}
	if r.Kind() != json.String {
		_ = r.Text() // says what it is instead
		return
	}
	if err := into.UnmarshalJSON(r.Raw()); err != nil {
		r.Reject("is not a time of RFC 3339")
	}
}

// Bytes reads a text of base64, which is how encoding/json writes bytes. null is nil.
func Bytes(r *json.Reader, memory *Slices[byte]) []byte {
	if r.Null() {
		return nil
	}
	text := r.Text()
	number, bytes := memory.Take()
	bytes, err := base64.StdEncoding.AppendDecode(bytes, view(text))
	if err != nil {
		r.Reject("is not base64")
	}
	return memory.Keep(number, bytes)
}

// JSON reads any value by a method of its type. It allocates what that method allocates.
func JSON(r *json.Reader, into interface{ UnmarshalJSON([]byte) error }) {
	raw := r.Raw()
	if raw == nil {
		return
	}
	if err := into.UnmarshalJSON(raw); err != nil {
		r.Reject(err.Error())
	}
}

// Text reads a text by a method of its type, which must neither keep nor change it. null leaves the value as it is.
func Text(r *json.Reader, into interface{ UnmarshalText([]byte) error }) {
	if r.Null() {
		return
	}
	if err := into.UnmarshalText(view(r.Text())); err != nil {
		r.Reject(err.Error()) // unless it was no text: the first error stays
	}
}

// view returns the bytes of a text, which must not be changed.
func view(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }
