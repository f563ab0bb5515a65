package oneline_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "",
		"{\n\t\"a\": 1.0}\r\n":        "{\n\t\"a\": 1.0}\r\n",
		"{\"ž\":\"😀\"}":               "{\"ž\":\"😀\"}",
		"[\"\u009b31m\u007f\u202e\"]": `["\u009b31m\u007f\u202e"]`,
		"\"\u200d\u2028\U000E0041\"":  `"\u200d\u2028\udb40\udc41"`,
	} {
		if got := string(oneline.JSON([]byte(text))); got != want {
			t.Errorf("%q becomes %q, must be %q", text, got, want)
		}
	}
}

// TestJSON_isTheSame has any text as a value.
func TestJSON_isTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := strings.ToValidUTF8(rapid.String().Draw(t, "text"), "")
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(oneline.JSON(text), &got); err != nil || got != want {
			t.Fatalf("%q becomes %q, %v", want, got, err)
		}
	})
}
