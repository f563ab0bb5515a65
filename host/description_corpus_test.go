package host

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false,
	"write the refusals into abi/testdata/descriptions.json; read the difference before you commit it")

// describedCase is a case of the corpus of descriptions.
type describedCase struct {
	Name        string          `json:"name"`
	Description json.RawMessage `json:"description"`
	Error       string          `json:"error"` // the whole line of refusal, or ""
}

const descriptionCorpus = "abi/testdata/descriptions.json"

// TestParseDescription_ofTheCorpus runs the cases that package store, hosttest and the test kits of SDKs run as well.
func TestParseDescription_ofTheCorpus(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(descriptionCorpus)
	if err != nil {
		t.Fatal(err)
	}
	var cases []describedCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	seen, lines := map[string]bool{}, []string{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		got := ""
		if _, err := parseDescription(c.Description); err != nil {
			got = err.Error()
		}
		if strings.Contains(got, "\n") {
			t.Errorf("%s: the error has several lines: %s", c.Name, got)
		}
		if got != c.Error && !*update {
			t.Errorf("%s: error %q, want %q", c.Name, got, c.Error)
		}
		lines = append(lines, corpusLine(t, c, got))
	}
	if *update {
		text := "[\n" + strings.Join(lines, ",\n") + "\n]\n"
		if err := os.WriteFile(descriptionCorpus, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// corpusLine is a case as the corpus has it.
func corpusLine(t *testing.T, c describedCase, refusal string) string {
	t.Helper()
	quote := func(text string) string {
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(text); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(quoted.String())
	}
	line := fmt.Sprintf("  {%s: %s, %s: %s", quote("name"), quote(c.Name), quote("description"), c.Description)
	if refusal != "" {
		line += ", " + quote("error") + ": " + quote(refusal)
	}
	return line + "}"
}
