package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/bundle"
)

// fuzzRead reads a file that anybody may have made. What is read is written and read again.
func fuzzRead(t *testing.T, file []byte) {
	t.Helper()
	b, err := bundle.Read(bytes.NewReader(file), 1<<20)
	if err != nil {
		if text := err.Error(); text == "" || strings.Contains(text, "\n") {
			t.Errorf("the error is %q", text)
		}
		return
	}
	var again bytes.Buffer
	if err := b.Write(&again); err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	same, err := bundle.Read(&again, 1<<20)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	// bundle.json and the rows are printed anew.
	b.Description, same.Description, b.Rows, same.Rows = nil, nil, nil, nil
	if !reflect.DeepEqual(b, same) {
		t.Errorf("read back: %+v, want %+v", same, b)
	}
}

// FuzzMembers has the members of an archive.
func FuzzMembers(f *testing.F) {
	m := members(f, written(f, sample()))
	f.Add(m[manifestAt].text, m[moduleAt].text, m[eventsAt].text, m[rowsAt].text)
	f.Fuzz(func(t *testing.T, manifest, module, events, rows string) {
		fuzzRead(t, archive(t,
			member{name: "bundle.json", text: manifest, kind: tar.TypeReg},
			member{name: "module.wasm", text: module, kind: tar.TypeReg},
			member{name: "events.jsonl", text: events, kind: tar.TypeReg},
			member{name: "rows.jsonl", text: rows, kind: tar.TypeReg},
		))
	})
}

// FuzzArchive has an archive that is not packed.
func FuzzArchive(f *testing.F) {
	unpacked, err := gzip.NewReader(bytes.NewReader(written(f, sample())))
	if err != nil {
		f.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var file bytes.Buffer
		packed, _ := gzip.NewWriterLevel(&file, gzip.NoCompression)
		_, _ = packed.Write(text)
		_ = packed.Close()
		fuzzRead(t, file.Bytes())
	})
}
