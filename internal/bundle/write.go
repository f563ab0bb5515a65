package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pupwasm/pupwasm/internal/eventline"
)

// Write writes the bundle, and completes its manifest before. Equal bundles give equal bytes.
//
// # Errors
//
// Those of writing, and one for a bundle that exceeds a limit of the format, which [Read] would refuse.
func (b *Bundle) Write(to io.Writer) error {
	if len(b.Events) > EventsMax || len(b.Rows) > RowsMax {
		return fmt.Errorf("%d events and %d rows, where a bundle has at most %d and %d", len(b.Events), len(b.Rows),
			EventsMax, RowsMax)
	}
	digest := sha256.Sum256(b.Wasm)
	b.Format, b.Module.SHA256 = Format, hex.EncodeToString(digest[:])
	b.Manifest.Events, b.Manifest.Rows = len(b.Events), len(b.Rows)
	manifest, err := indented(&b.Manifest)
	if err != nil {
		return fmt.Errorf("writing %s: %w", manifestName, err)
	}
	var events, rows []byte
	for i := range b.Events {
		events = append(eventline.Append(events, &b.Events[i]), '\n')
	}
	for i := range b.Rows {
		rows = append(append(eventline.AppendText(append(rows, `{"table":`...), b.Rows[i].Table), `,"row":`...), b.Rows[i].Values...)
		rows = append(rows, "}\n"...)
	}
	packed := gzip.NewWriter(to)
	archive := tar.NewWriter(packed)
	for _, member := range []struct {
		name    string
		content []byte
		max     int
	}{
		{manifestName, manifest, ManifestBytesMax},
		{moduleName, b.Wasm, len(b.Wasm)},
		{eventsName, events, EventsBytesMax},
		{rowsName, rows, RowsBytesMax},
	} {
		if len(member.content) > member.max {
			return fmt.Errorf("%s has %d bytes, the limit is %d", member.name, len(member.content), member.max)
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: member.name, Mode: 0o600, Size: int64(len(member.content))}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := archive.Write(member.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func indented(manifest *Manifest) ([]byte, error) {
	text := new(bytes.Buffer)
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(manifest)
	return text.Bytes(), err
}
