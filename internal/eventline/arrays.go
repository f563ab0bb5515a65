package eventline

import (
	"errors"
	"fmt"
	"io"
)

// ErrCutArray says that an input of arrays ends too early.
var ErrCutArray = errors.New("the input ends within an array: is it complete?")

// begin reads up to the first byte that is not white space, which says whether the input is arrays.
func (r *Reader) begin() error {
	r.begun = true
	if mark, _ := r.lines.Peek(3); string(mark) == "\ufeff" {
		_, _ = r.lines.Discard(3)
	}
	c, err := r.skipSpace()
	r.Number = r.row - 1 // the blank lines before it
	if errors.Is(err, io.EOF) {
		return nil // the next read returns it again
	}
	if err != nil {
		return err
	}
	if r.array = c == '['; r.array {
		r.Number = 0
	}
	return r.lines.UnreadByte()
}

// skipSpace returns the next byte that is not white space of JSON.
func (r *Reader) skipSpace() (byte, error) {
	for {
		c, err := r.lines.ReadByte()
		if err != nil {
			return 0, describeRead(err)
		}
		switch c {
		case '\n':
			r.row++
		case ' ', '\t', '\r':
		default:
			return c, nil
		}
	}
}

// nextElement returns the next element of the arrays of the input. Errors other than ErrTooLong end the input.
func (r *Reader) nextElement() ([]byte, error) {
	for {
		c, err := r.skipSpace()
		r.Line = r.row
		switch {
		case errors.Is(err, io.EOF) && r.inside:
			return nil, ErrCutArray
		case err != nil:
			return nil, err
		case !r.inside && c != '[':
			return nil, fmt.Errorf("not valid JSON: %q after the end of an array, where only another array may come", c)
		case !r.inside:
			r.inside, r.elements = true, 0
			continue
		case c == ']':
			r.inside = false
			continue
		case r.elements > 0 && c != ',':
			return nil, fmt.Errorf("not valid JSON: %q after an event, where a comma or the end of the array must come", c)
		case r.elements > 0:
			if c, err = r.skipSpace(); errors.Is(err, io.EOF) {
				return nil, ErrCutArray
			} else if err != nil {
				return nil, err
			}
			r.Line = r.row
		}
		if c == ']' || c == '}' || c == ',' {
			return nil, fmt.Errorf("not valid JSON: %q where an event must begin", c)
		}
		r.elements++
		r.Number++
		return r.element(c)
	}
}

// element reads the element that begins with c. Brackets and quotes tell its end; the decoder checks the rest.
func (r *Reader) element(c byte) ([]byte, error) {
	r.long = r.long[:0]
	most := lineBytesMax(r.PayloadMax)
	tooLong, quoted, depth := false, false, 0
	keep := func(c byte) {
		if tooLong = tooLong || len(r.long) == most; !tooLong {
			r.long = append(r.long, c)
		}
	}
	for {
		keep(c)
		ended := false
		switch {
		case quoted && c == '\\':
			next, err := r.lines.ReadByte()
			if err != nil {
				return nil, cutWithin(err)
			}
			keep(next)
		case c == '"':
			quoted = !quoted
			ended = !quoted
		case quoted && c == '\n':
			return nil, errors.New("not valid JSON: a text that has a line break or no end")
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			ended = true
		case c == '\n':
			r.row++
		}
		if !quoted && depth == 0 && !ended { // a number, or a word
			next, err := r.lines.Peek(1)
			ended = err == nil && (next[0] == ',' || next[0] == ']' || next[0] <= ' ')
		}
		if ended && depth == 0 {
			break
		}
		var err error
		if c, err = r.lines.ReadByte(); err != nil {
			return nil, cutWithin(err)
		}
	}
	if tooLong {
		return nil, ErrTooLong
	}
	return r.long, nil
}

func cutWithin(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCutArray
	}
	return describeRead(err)
}
