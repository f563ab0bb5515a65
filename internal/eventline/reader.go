package eventline

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/pupwasm/pupwasm/store"
)

// lineBytesMax is the limit on the text of one event: a payload of the largest size in base64 takes 4/3 of it,
// and the rest of an event has its own limits.
func lineBytesMax(payloadMax int) int { return 2*payloadMax + store.MetadataBytesMax + 1<<20 }

// ErrTooLong is a fault of one event: those after it can be read.
var ErrTooLong = errors.New("the event is longer than one with a payload and metadata of the largest size")

// Reader reads the texts of the events of an input that may be packed with gzip: its lines, or the elements
// of its arrays if it begins with one. It skips blank lines, line ends (also those of Windows) and a byte order
// mark.
type Reader struct {
	PayloadMax int // bytes

	// Of the event that Next returned last:

	Number int64 // of its line, or of the event in arrays, from 1
	Line   int64 // in arrays, where it begins
	Cut    bool  // its line has no line end

	source *countingReader
	lines  *bufio.Reader
	long   []byte // a line that the buffer of lines is too small for, or an element
	begun  bool
	row    int64 // the line being read, from 1, before the first event and in arrays

	array    bool  // the input is arrays
	inside   bool  // of one
	elements int64 // of it
}

// Unit is what Number counts.
func (r *Reader) Unit() string {
	if r.array {
		return "event"
	}
	return "line"
}

// Place names an event for an error.
func (r *Reader) Place(name string, number, line int64) string {
	if r.array {
		return fmt.Sprintf("%s:%d (event %d)", name, line, number)
	}
	return fmt.Sprintf("%s:%d", name, number)
}

// countingReader counts the bytes read, for the progress bar of another goroutine.
type countingReader struct {
	from  io.Reader
	count atomic.Int64
}

// Read counts what it passes on.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.count.Add(int64(n))
	return n, err
}

// BytesRead is how much of the input was read, before it was unpacked. Other goroutines may ask.
func (r *Reader) BytesRead() int64 { return r.source.count.Load() }

// NewReader detects the form of the input by its first bytes, not by its name. payloadMax is the maximum
// bytes of an event's payload.
func NewReader(from io.Reader, payloadMax int) (*Reader, error) {
	r := &Reader{PayloadMax: payloadMax, row: 1, source: &countingReader{from: from}}
	packed := bufio.NewReaderSize(r.source, 64<<10)
	magic, err := packed.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			return nil, describeRead(err)
		}
		r.lines = bufio.NewReaderSize(unpacked, 256<<10)
		return r, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, errors.New("it is packed by zstd, which is not read here: unpack it with 'zstd -dc' and give it as -")
	case bytes.HasPrefix(magic, []byte("BZh")), bytes.HasPrefix(magic, []byte("\xfd7zX")), bytes.HasPrefix(magic,
		[]byte("PK\x03\x04")):
		return nil, errors.New("it is packed in a form that is not read here: unpack it, or pack it with gzip")
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}), bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return nil, errors.New("it is in UTF-16: events are read in UTF-8")
	}
	r.lines = packed
	return r, nil
}

// Next returns the text of the next event. The next call overwrites it. The error is io.EOF at the end,
// ErrTooLong, or a read error, which ends the input and drops the part of an event before it.
func (r *Reader) Next() ([]byte, error) {
	if !r.begun {
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	if r.array {
		return r.nextElement()
	}
	for {
		line, err := r.read()
		if err != nil {
			return nil, err
		}
		// Only the white space of JSON: a line that looks blank may be an error.
		if line = bytes.Trim(line, " \t\r\n"); len(line) > 0 {
			return line, nil
		}
	}
}

func (r *Reader) read() ([]byte, error) {
	r.Number++
	line, err := r.lines.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	r.long = r.long[:0]
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = tooLong || len(r.long)+len(line) > lineBytesMax(r.PayloadMax)
		if !tooLong {
			r.long = append(r.long, line...)
		}
		line, err = r.lines.ReadSlice('\n')
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, describeRead(err)
	case tooLong || len(r.long)+len(line) > lineBytesMax(r.PayloadMax):
		return nil, ErrTooLong
	}
	r.long = append(r.long, line...)
	if err != nil {
		if len(r.long) == 0 {
			return nil, io.EOF
		}
		r.Cut = true
	}
	return r.long, nil
}

// describeRead rewords errors of reading a packed input for users.
func describeRead(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the gzip data ends in the middle: the file is not complete")
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("the gzip data is damaged (%w)", err)
	}
	return err
}
