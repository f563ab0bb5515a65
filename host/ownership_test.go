package host

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestDescriptions_ownership runs the list that the test kits of SDKs run as well.
func TestDescriptions_ownership(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("abi/testdata/descriptions.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name        string
		Description json.RawMessage
		Error       []string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		_, err := parseDescription(c.Description)
		if (err != nil) != (len(c.Error) > 0) {
			t.Errorf("%s: error %v, want %q", c.Name, err, c.Error)
			continue
		}
		for _, words := range c.Error {
			if !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v, want one line with %q", c.Name, err, words)
			}
		}
	}
}
