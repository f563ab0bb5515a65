package eventschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/store"
)

// DigitsMax is how many digits a number may have, and how large its exponent may be, so that numbers are compared exactly
// in a bounded time.
const DigitsMax = 1000

// bounds of a JSON value.
type bounds struct{ depth, values int }

// valueError is what is wrong with one value within a JSON text.
type valueError struct {
	path []step
	what string
}

// Error has the path without a name in front.
func (e *valueError) Error() string { return pathText("", e.path) + ": " + e.what }

// decodeValue reads JSON into any, with numbers as json.Number. It is stricter than encoding/json: a member given twice,
// of which readers see different values, half of a surrogate pair, and a number that is too long are errors.
//
// # Errors
//
// A [*syntaxError] or a [*valueError].
func decodeValue(text []byte, within bounds) (any, error) {
	if !json.Valid(text) {
		return nil, describeSyntax(text)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("is not valid UTF-8")
	}
	d := decoder{text: text, within: within}
	value := d.value()
	if d.err != nil {
		return nil, d.err
	}
	return value, nil
}

// syntaxError is text that is not JSON.
type syntaxError struct {
	line int
	what string
}

// Error is what the grammar says, without the line.
func (e *syntaxError) Error() string { return "is not valid JSON: " + e.what }

func describeSyntax(text []byte) error {
	var value json.RawMessage
	var syntax *json.SyntaxError
	err := json.Unmarshal(text, &value)
	if !errors.As(err, &syntax) {
		return &syntaxError{1, "no value"}
	}
	before := text[:min(int(syntax.Offset), len(text))]
	return &syntaxError{1 + bytes.Count(before, []byte("\n")), syntax.Error()}
}

// decoder walks over text that is valid JSON.
type decoder struct {
	text   []byte
	at     int
	within bounds
	values int
	path   []step
	err    error // the first one, which ends the walk
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &valueError{append([]step(nil), d.path...), fmt.Sprintf(format, args...)}
	}
}

// next skips white space and returns the byte after it.
func (d *decoder) next() byte {
	for {
		switch c := d.text[d.at]; c {
		case ' ', '\t', '\r', '\n':
			d.at++
		default:
			return c
		}
	}
}

func (d *decoder) value() any {
	if d.values++; d.values > d.within.values {
		d.fail("is where there are more than %d values", d.within.values)
	}
	if len(d.path) > d.within.depth {
		d.fail("is nested more than %d deep", d.within.depth)
	}
	if d.err != nil {
		return nil
	}
	switch d.next() {
	case '{':
		return d.object()
	case '[':
		return d.array()
	case '"':
		return d.string()
	case 't':
		d.at += len("true")
		return true
	case 'f':
		d.at += len("false")
		return false
	case 'n':
		d.at += len("null")
		return nil
	}
	return d.number()
}

func (d *decoder) object() any {
	object := map[string]any{}
	for d.at++; d.err == nil; d.at++ { // past the bracket, or a comma
		if d.next() == '}' {
			break
		}
		name := d.string()
		d.path = append(d.path, step{name: name})
		if _, twice := object[name]; twice {
			d.fail("is given twice")
		}
		d.next()
		d.at++ // the colon
		object[name] = d.value()
		d.path = d.path[:len(d.path)-1]
		if d.err != nil || d.next() == '}' {
			break
		}
	}
	d.at++
	return object
}

func (d *decoder) array() any {
	array := []any{}
	for d.at++; d.err == nil; d.at++ {
		if d.next() == ']' {
			break
		}
		d.path = append(d.path, step{index: len(array), element: true})
		array = append(array, d.value())
		d.path = d.path[:len(d.path)-1]
		if d.err != nil || d.next() == ']' {
			break
		}
	}
	d.at++
	return array
}

func (d *decoder) string() string {
	start := d.at
	escaped := false
	for d.at++; d.text[d.at] != '"'; d.at++ {
		if d.text[d.at] == '\\' {
			escaped = true
			d.at++
		}
	}
	d.at++
	quoted := d.text[start:d.at]
	if !escaped {
		return string(quoted[1 : len(quoted)-1])
	}
	if store.HasLoneSurrogate(quoted) {
		d.fail(`has half of a surrogate pair (\ud800 to \udfff), which is no character`)
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // a part of valid JSON
	return text
}

func (d *decoder) number() any {
	start := d.at
	for d.at < len(d.text) && strings.IndexByte("+-.eE0123456789", d.text[d.at]) >= 0 {
		d.at++
	}
	text := string(d.text[start:d.at])
	digits, exponent := text, ""
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		digits, exponent = text[:e], text[e+1:]
	}
	if len(digits) > DigitsMax {
		d.fail("is a number of more than %d digits", DigitsMax)
	}
	if exponent != "" {
		if n, err := strconv.Atoi(exponent); err != nil || n > DigitsMax || n < -DigitsMax {
			d.fail("is a number with an exponent beyond %d", DigitsMax)
		}
	}
	return json.Number(text)
}
