package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
)

// TestProjection_Validate_ofTheCorpus runs the cases that the host is tested with, up to those that are about reading
// a description and about what is none of a projection.
func TestProjection_Validate_ofTheCorpus(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../host/abi/testdata/descriptions.json")
	must(t, err)
	var cases []struct {
		Name        string
		Description json.RawMessage
		Error       string
	}
	must(t, json.Unmarshal(text, &cases))
	refused := 0
	for _, c := range cases {
		if strings.HasPrefix(c.Error, "its description ") {
			continue
		}
		var described struct {
			store.Projection
			OnError store.ErrorPolicy `json:"on_error"`
		}
		if err := json.Unmarshal(c.Description, &described); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		err := described.Validate()
		if err == nil {
			err = described.OnError.Validate(described.Order)
		}
		var fault *store.CatalogueError
		switch {
		case err == nil && c.Error == "":
		case err == nil || err.Error() != c.Error:
			t.Errorf("%s: error %v, want %q", c.Name, err, c.Error)
		case errors.As(err, &fault):
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("%d cases are refused for their catalogue", refused)
	}
}
