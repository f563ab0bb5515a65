package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

func TestDataText_isSafeAndBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", shownDataMax)
	for _, test := range []struct{ data, want string }{
		{"{\"a\" :\n 1.0}", `{"a":1.0}`},
		{"a\x1b[31m\r\nb\u202e", `a\x1b[31m\r\nb\u202e`},
		{"\xff\x00", "(2 bytes that are no text)"},
		{"", ""},
		{long, long[:shownDataMax] + "… (--json has all)"},
		{"a" + long, "a" + long[:shownDataMax-2] + "… (--json has all)"},
	} {
		if got := dataText([]byte(test.data)); got != test.want {
			t.Errorf("%.20q is shown as %.80q, must be %.80q", test.data, got, test.want)
		}
	}
}

// TestShowMessage_dataByItsType gives data as JSON only where it is some.
func TestShowMessage_dataByItsType(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ content, data, want string }{
		{"application/json", `{"a":1.0}`, `"data":{"a":1.0}`},
		{"application/vnd.shop+json", `[1]`, `"data":[1]`},
		{"application/json", `{"a":`, `"data":"{\"a\":"`},
		{"application/json", "\xff", `"data_base64":"/w=="`},
		{"application/json", "\"\xff\"", `"data_base64":"Iv8i"`},
		{"text/plain; charset=utf-8", "a\n", `"data":"a\n"`},
		{"text/plain", "\xff", `"data_base64":"/w=="`},
		{"image/png", "png", `"data_base64":"cG5n"`},
	} {
		text, err := json.Marshal(showMessage(&store.OutboxMessage{Message: store.Message{
			ContentType: test.content, Data: []byte(test.data),
		}}))
		if err != nil || !strings.HasSuffix(string(text), ","+test.want+"}") {
			t.Errorf("%q of type %s is %s, %v, must end with %s", test.data, test.content, text, err, test.want)
		}
	}
}
