package hosttest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestParseDescription_ofTheCorpus runs the cases that the host is tested with. Whoever builds a guest is not told
// that it is wrong when it is right, and is told of all that cannot be read. Who owns a row is left to the host.
func TestParseDescription_ofTheCorpus(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../abi/testdata/descriptions.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name        string
		Description json.RawMessage
		Error       string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, c := range cases {
		_, err := ParseDescription(c.Description)
		switch {
		case err == nil:
			if strings.HasPrefix(c.Error, "its description ") {
				t.Errorf("%s: is accepted, the host says %q", c.Name, c.Error)
			}
		case c.Error == "":
			t.Errorf("%s: error %v, and the host accepts it", c.Name, err)
		default:
			refused++
		}
	}
	if refused < 40 {
		t.Errorf("%d cases are refused", refused)
	}
}
