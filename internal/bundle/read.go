package bundle

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pupwasm/pupwasm/internal/eventline"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

// overheadMax is what an archive may have besides the contents of its members.
const overheadMax = 1 << 20

// Read reads a bundle, whose module has so many bytes at most. Anybody may have made it: no size is believed, nothing
// is written to a file, and what is not understood is refused.
//
// # Errors
//
// One line that says which member of the bundle is wrong, and how.
func Read(from io.Reader, moduleBytesMax int) (*Bundle, error) {
	packed, err := gzip.NewReader(from)
	if err != nil {
		return nil, describe(err)
	}
	packed.Multistream(false)
	most := int64(ManifestBytesMax + moduleBytesMax + EventsBytesMax + RowsBytesMax + overheadMax)
	r := &reader{all: &io.LimitedReader{R: packed, N: most}}
	r.archive = tar.NewReader(r.all)
	b := &Bundle{}
	for _, member := range []struct {
		name  string
		max   int
		parse func(text []byte) error
	}{
		{manifestName, ManifestBytesMax, b.parseManifest},
		{moduleName, moduleBytesMax, b.parseModule},
		{eventsName, EventsBytesMax, b.parseEvents},
		{rowsName, RowsBytesMax, b.parseRows},
	} {
		text, err := r.member(member.name, member.max)
		if err == nil {
			err = member.parse(text)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, r.end()
}

// reader reads the members of an archive, one after the other.
type reader struct {
	all     *io.LimitedReader
	archive *tar.Reader
}

// member returns the content of the next member, which must be a file of this name.
func (r *reader) member(name string, limit int) ([]byte, error) {
	header, err := r.archive.Next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("is no bundle, or not complete: it has no %s", name)
	}
	if err != nil {
		return nil, r.describe(err)
	}
	if header.Typeflag != tar.TypeReg || header.Name != name {
		return nil, fmt.Errorf("is no bundle: it has %.100q where the file %s must be", header.Name, name)
	}
	if header.Size > int64(limit) {
		return nil, tooLarge(name, header.Size, limit)
	}
	text, err := io.ReadAll(io.LimitReader(r.archive, int64(limit)+1))
	if err != nil {
		return nil, r.describe(err)
	}
	if len(text) > limit {
		return nil, tooLarge(name, int64(len(text)), limit)
	}
	return text, nil
}

func tooLarge(name string, size int64, limit int) error {
	raise := ""
	if name == moduleName {
		raise = ": raise Limits.ModuleBytesMax"
	}
	return fmt.Errorf("%s has %d bytes, the limit is %d%s", name, size, limit, raise)
}

// end refuses what follows the last member, and has the checksum compared.
func (r *reader) end() error {
	header, err := r.archive.Next()
	if err == nil {
		return fmt.Errorf("is no bundle of format %d: it has %.100q behind %s", Format, header.Name, rowsName)
	}
	if errors.Is(err, io.EOF) {
		_, err = io.Copy(io.Discard, r.all)
	}
	if err != nil || r.all.N <= 0 {
		return r.describe(err)
	}
	return nil
}

func (r *reader) describe(err error) error {
	if r.all.N <= 0 {
		return errors.New("is larger than a bundle can be when it is unpacked")
	}
	return describe(err)
}

// describe rewords errors of unpacking.
func describe(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("is empty, and no bundle")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends in the middle: the file is not complete")
	case errors.Is(err, gzip.ErrHeader):
		return errors.New("is no bundle, which is packed with gzip")
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("is damaged, or no bundle (%s)", oneline.Of(err))
	}
	return err
}

func (b *Bundle) parseManifest(text []byte) error {
	var known struct {
		Format int `json:"format"`
	}
	wrong := func(err error) error {
		return fmt.Errorf("%s: %s", manifestName, strings.TrimPrefix(oneline.Of(err), "json: "))
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return wrong(err)
	}
	switch {
	case known.Format > Format:
		return fmt.Errorf("is a bundle of format %d, this version reads format %d: use a newer pupwasm", known.Format, Format)
	case known.Format < 1:
		return fmt.Errorf("%s: format is %d, must be %d", manifestName, known.Format, Format)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b.Manifest); err != nil {
		return wrong(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: goes on behind the JSON object", manifestName)
	}
	if file := b.Module.File; file == "" || len(file) > 255 || strings.ContainsAny(file, "/\\\x00") {
		return fmt.Errorf("%s: module.file is %.100q, which is no name of a file", manifestName, file)
	}
	return nil
}

func (b *Bundle) parseModule(wasm []byte) error {
	digest := sha256.Sum256(wasm)
	if is := hex.EncodeToString(digest[:]); is != b.Module.SHA256 {
		return fmt.Errorf("%s has the SHA-256 %s, %s says %.64q: the bundle was changed", moduleName, is, manifestName,
			b.Module.SHA256)
	}
	b.Wasm = wasm
	return nil
}

func (b *Bundle) parseEvents(text []byte) error {
	decoder := eventline.NewDecoder(EventsBytesMax)
	err := eachLine(eventsName, text, EventsMax, func(line []byte) error {
		event, err := decoder.Recorded(line)
		if err != nil {
			return err
		}
		if n := len(b.Events); n > 0 && event.Position <= b.Events[n-1].Position {
			return fmt.Errorf("global_position %d is not behind %d, that of the line before it", event.Position,
				b.Events[n-1].Position)
		}
		b.Events = append(b.Events, event)
		return nil
	})
	if err != nil {
		return err
	}
	switch n := len(b.Events); {
	case n == 0:
		return fmt.Errorf("%s has no event", eventsName)
	case n != b.Manifest.Events:
		return fmt.Errorf("%s has %d events, %s says %d: the bundle was changed", eventsName, n, manifestName,
			b.Manifest.Events)
	case b.Events[0].Position != b.Fault.Position || b.Events[0].ID.String() != b.Fault.EventID:
		return fmt.Errorf("%s begins with another event than that of the fault: the bundle was changed", eventsName)
	}
	return nil
}

func (b *Bundle) parseRows(text []byte) error {
	err := eachLine(rowsName, text, RowsMax, func(line []byte) error {
		var row Row
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&row); err != nil {
			return errors.New(strings.TrimPrefix(oneline.Of(err), "json: "))
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return errors.New("goes on behind the JSON object")
		}
		if row.Table == "" || len(row.Values) == 0 || row.Values[0] != '{' {
			return errors.New("a row has a table, and an object of its columns")
		}
		b.Rows = append(b.Rows, row)
		return nil
	})
	if err == nil && len(b.Rows) != b.Manifest.Rows {
		err = fmt.Errorf("%s has %d rows, %s says %d: the bundle was changed", rowsName, len(b.Rows), manifestName,
			b.Manifest.Rows)
	}
	return err
}

// eachLine gives the lines of a member to handle, without their ends.
func eachLine(name string, text []byte, limit int, handle func(line []byte) error) error {
	if bytes.Count(text, []byte("\n")) > limit {
		return fmt.Errorf("%s has more than %d lines", name, limit)
	}
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.Trim(line, " \t\r")
		if len(line) == 0 {
			return fmt.Errorf("%s:%d: is empty", name, number)
		}
		if err := handle(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
		text = rest
	}
	return nil
}
