package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

func FuzzPartition_Key(f *testing.F) {
	for _, c := range keyCases(f) {
		if c.By == store.PartitionJSON {
			f.Add(c.event(f).Payload, len(c.Path) > 1)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte, long bool) {
		path := []string{"customer"}
		if long {
			path = append(path, "id")
		}
		before := bytes.Clone(payload)
		key, err := store.Partition{
			By:   store.PartitionJSON,
			Path: path,
		}.Key(&store.RecordedEvent{Event: store.Event{Payload: payload}})
		want, wantErr := slowKey(payload, path)
		if (err != nil) != (wantErr != nil) || (key == nil) != (want == nil) || !bytes.Equal(key, want) {
			t.Errorf("path %q of %q: key %q, error %v; by encoding/json %q, %v", path, payload, key, err, want, wantErr)
		}
		if !bytes.Equal(before, payload) {
			t.Error("the payload was changed")
		}
	})
}

// slowKey reads the key by encoding/json, which takes what is not UTF-8, and halves of surrogate pairs, for
// U+FFFD: where that is in what it read, the bytes themselves decide.
func slowKey(payload []byte, path []string) ([]byte, error) {
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	for _, name := range path {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		if token == json.Delim('[') {
			return nil, skipRest(decoder, 1)
		}
		if token != json.Delim('{') {
			return nil, delimited(payload, token, decoder.InputOffset())
		}
		found, err := slowMember(decoder, name)
		if err != nil || !found {
			return nil, err
		}
	}
	start := decoder.InputOffset()
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	raw := bytes.TrimLeft(payload[start:decoder.InputOffset()], ": \t\r\n")
	if err := delimited(payload, token, decoder.InputOffset()); err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case bool:
		return strconv.AppendBool(nil, value), nil
	case json.Number:
		text := value.String()
		_, signed := strconv.ParseInt(text, 10, 64)
		_, unsigned := strconv.ParseUint(text, 10, 64)
		if text == "-0" || signed != nil && unsigned != nil {
			return nil, errors.New("no integer of 64 bits")
		}
		return []byte(text), nil
	case string:
		if len(value) > 1024 || strings.Contains(value, "\x00") || !utf8.Valid(raw) {
			return nil, errors.New("no key")
		}
		if strings.Count(value, "\uFFFD") != bytes.Count(raw,
			[]byte("\uFFFD"))+strings.Count(strings.ToLower(string(raw)), `\ufffd`) {
			return nil, errors.New("half of a surrogate pair")
		}
		return []byte(value), nil
	}
	return nil, errors.New("null, object or array")
}

// slowMember goes to the value of the first member of that name.
func slowMember(decoder *json.Decoder, name string) (bool, error) {
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return false, err
		}
		if token == name {
			return true, nil
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return false, err
		}
	}
	_, err := decoder.Token()
	return false, err
}

func skipRest(decoder *json.Decoder, depth int) error {
	for depth > 0 {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// delimited reports a number or a word behind which more of it may have been cut off.
func delimited(payload []byte, token json.Token, end int64) error {
	switch token.(type) {
	case json.Delim, string:
		return nil
	}
	if end == int64(len(payload)) || !strings.ContainsRune(" \t\r\n,]}", rune(payload[end])) {
		return errors.New("does not end")
	}
	return nil
}
