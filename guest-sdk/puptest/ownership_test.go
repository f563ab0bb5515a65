package puptest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	sdkjson "github.com/pupwasm/pupwasm/guest-sdk/json"
)

// readCorpus reads one of the lists of cases that the host is tested with.
func readCorpus(t *testing.T, path string, cases any) {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Skipf("the host is not here: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(cases); err != nil {
		t.Fatal(err)
	}
}

// TestDescriptions_areRefusedAsByTheHost runs the cases that the host is tested with. Reading a description is the
// business of Go's package json, which names the types of this package in what it says. What is about limits and
// columns of events is for the host alone, since the SDK declares them.
func TestDescriptions_areRefusedAsByTheHost(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Name        string
		Description json.RawMessage
		Error       string
	}
	readCorpus(t, "host/abi/testdata/descriptions.json", &cases)
	const unreadable = "its description cannot be read: "
	for _, c := range cases {
		d, err := parseDescription(c.Description)
		if err == nil {
			err = d.Validate()
		}
		switch {
		case strings.HasPrefix(c.Error, unreadable):
			if err == nil || !strings.HasPrefix(err.Error(), unreadable) {
				t.Errorf("%s: error %v, want %q", c.Name, err, c.Error)
			}
		case strings.HasPrefix(c.Error, "its description asks for "), strings.HasPrefix(c.Error, "on_error "):
		case err == nil && c.Error != "", err != nil && err.Error() != c.Error:
			t.Errorf("%s: error %v, want %q", c.Name, err, c.Error)
		}
	}
}

// TestPartitionKeys_areThoseOfTheHost also checks that a guest which reads the member by itself gets the same text.
func TestPartitionKeys_areThoseOfTheHost(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Name          string
		By            string
		Path          []string
		Payload       string
		PayloadHex    string `json:"payload_hex"`
		Metadata      string
		CorrelationID string `json:"correlation_id"`
		Key           *string
		Fault         string
	}
	readCorpus(t, "store/testdata/partition_keys.json", &cases)
	read := 0
	for _, c := range cases {
		declared, err := json.Marshal(map[string]any{
			"name": "p", "version": 1,
			"partition": map[string]any{"by": c.By, "path": c.Path},
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseDescription(declared)
		if err != nil {
			t.Fatal(err)
		}
		e := event{
			Event:   Event{AggregateID: "stream-1", CorrelationID: c.CorrelationID, Metadata: c.Metadata},
			payload: []byte(c.Payload),
		}
		if c.PayloadHex != "" {
			if e.payload, err = hex.DecodeString(c.PayloadHex); err != nil {
				t.Fatal(err)
			}
		}
		d.setKey(&e)
		want := "stream-1"
		if c.Key != nil {
			want = *c.Key
		}
		if (e.keyFault != nil) != (c.Fault != "") || e.key != want || c.Fault != "" &&
			!strings.Contains(e.keyFault.Error(), c.Fault) {
			t.Errorf("%s: key %q, error %v, want %q, %q", c.Name, e.key, e.keyFault, want, c.Fault)
		}
		if c.By != "json" || c.Key == nil || len(c.Path) != 1 {
			continue
		}
		if text, ok := memberText(e.payload, c.Path[0]); ok {
			read++
			if text != want {
				t.Errorf("%s: the reader of package json gives %q, want %q", c.Name, text, want)
			}
		}
	}
	if read < 10 {
		t.Errorf("only %d keys were read by package json", read)
	}
}

// memberText reads a member that is a string as a guest would.
func memberText(payload []byte, name string) (text string, ok bool) {
	r := sdkjson.NewReader(payload)
	for o := r.Object(); o.Next(); {
		if o.Key() == name {
			return r.Text(), r.Err() == nil
		}
	}
	return "", false
}
