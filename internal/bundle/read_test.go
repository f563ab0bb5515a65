package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/bundle"
)

// member is one of an archive.
type member struct {
	name, text string
	kind       byte
	size       int64 // that the header claims; 0 for that of the text
}

// archive packs members, whatever they are.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var file bytes.Buffer
	packed := gzip.NewWriter(&file)
	a := tar.NewWriter(packed)
	for _, m := range members {
		header := tar.Header{Typeflag: m.kind, Name: m.name, Mode: 0o600, Size: max(m.size, int64(len(m.text)))}
		if m.kind == tar.TypeSymlink {
			header.Linkname, header.Size = "/etc/passwd", 0
		}
		if err := a.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Size > 0 {
			if _, err := io.WriteString(a, m.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = a.Close() // a size that is not true is an error, too late to matter
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// members takes a bundle apart.
func members(t testing.TB, file []byte) []member {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var all []member
	for a := tar.NewReader(unpacked); ; {
		header, err := a.Next()
		if err != nil {
			return all
		}
		text, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member{name: header.Name, text: string(text), kind: tar.TypeReg})
	}
}

// manifest changes members of bundle.json.
func manifest(t *testing.T, text string, changes map[string]any) string {
	t.Helper()
	all := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, changes)
	changed, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(changed)
}

const (
	manifestAt = iota
	moduleAt
	eventsAt
	rowsAt
)

func TestRead_refuses(t *testing.T) {
	t.Parallel()
	changed := func(changes map[string]any) func(m []member) []member {
		return func(m []member) []member {
			m[manifestAt].text = manifest(t, m[manifestAt].text, changes)
			return m
		}
	}
	text := func(at int, text string) func(m []member) []member {
		return func(m []member) []member { m[at].text = text; return m }
	}
	tests := []struct {
		name   string
		change func(m []member) []member
		want   string
	}{
		{"no member", func([]member) []member { return nil }, "is no bundle, or not complete: it has no bundle.json"},
		{"a member too few", func(m []member) []member { return m[:rowsAt] }, "not complete: it has no rows.jsonl"},
		{"a member too many", func(m []member) []member { return append(m, m[rowsAt]) }, `it has "rows.jsonl" behind rows.jsonl`},
		{"another order", func(m []member) []member { m[1], m[2] = m[2], m[1]; return m }, `it has "events.jsonl" where the file module.wasm must be`},
		{"a path out of the folder", func(m []member) []member { m[moduleAt].name = "../module.wasm"; return m }, `it has "../module.wasm" where`},
		{"an absolute path", func(m []member) []member { m[moduleAt].name = "/module.wasm"; return m }, `it has "/module.wasm" where`},
		{"a link", func(m []member) []member { m[rowsAt].kind, m[rowsAt].text = tar.TypeSymlink, ""; return m }, `it has "rows.jsonl" where the file rows.jsonl must be`},
		{"a folder", func(m []member) []member {
			return append([]member{{name: "bundle.json", kind: tar.TypeDir}}, m...)
		}, "where the file bundle.json must be"},
		{"a huge manifest", text(manifestAt, strings.Repeat(" ", bundle.ManifestBytesMax+1)), "bundle.json has 4194305 bytes, the limit is 4194304"},
		{"a huge module", text(moduleAt, strings.Repeat("x", 1<<20+1)), "module.wasm has 1048577 bytes, the limit is 1048576: raise Limits.ModuleBytesMax"},
		{"rows that claim to be huge", func(m []member) []member { m[rowsAt].size = 1 << 40; return m }, "rows.jsonl has 1099511627776 bytes, the limit is 134217728"},
		{"a bomb of rows", text(rowsAt, strings.Repeat(`{"table":"a","row":{}}`+"\n", bundle.RowsMax+1)), "rows.jsonl has more than 1000000 lines"},
		{"a bomb of events", text(eventsAt, strings.Repeat("\n", bundle.EventsMax+1)), "events.jsonl has more than 100000 lines"},
		{"a manifest that is none", text(manifestAt, "[]"), "bundle.json: cannot unmarshal array"},
		{"a cut manifest", text(manifestAt, `{"format":1`), "bundle.json: unexpected end of JSON input"},
		{"a second manifest", text(manifestAt, `{"format":1,"module":{"file":"a"}}{}`), "bundle.json: invalid character '{'"},
		{"a future format", changed(map[string]any{"format": 2, "new": true}), "is a bundle of format 2, this version reads format 1: use a newer pupwasm"},
		{"no format", changed(map[string]any{"format": 0}), "bundle.json: format is 0, must be 1"},
		{"an unknown member", changed(map[string]any{"stray": 1}), `bundle.json: unknown field "stray"`},
		{"a module of another folder", changed(map[string]any{"module": map[string]any{"file": "../../x.wasm"}}), `bundle.json: module.file is "../../x.wasm", which is no name of a file`},
		{"a changed module", text(moduleAt, "\x00asm other"), "the bundle was changed"},
		{"an event too few", func(m []member) []member {
			first, _, _ := strings.Cut(m[eventsAt].text, "\n")
			m[eventsAt].text = first
			return m
		}, "events.jsonl has 1 events, bundle.json says 2: the bundle was changed"},
		{"an empty line", text(eventsAt, "\n"), "events.jsonl:1: is empty"},
		{"no event", text(eventsAt, ""), "events.jsonl has no event"},
		{"an event that is none", text(eventsAt, "{}\n"), "events.jsonl:1: bounded_context is required"},
		{"an event with an unknown member", func(m []member) []member {
			m[eventsAt].text = strings.Replace(m[eventsAt].text, "{", `{"stray":1,`, 1)
			return m
		}, `events.jsonl:1: member "stray" is not known`},
		{"an event twice", func(m []member) []member {
			first, _, _ := strings.Cut(m[eventsAt].text, "\n")
			m[eventsAt].text = first + "\n" + first
			return m
		}, "events.jsonl:2: global_position 7 is not behind 7"},
		{"another first event", changed(map[string]any{"fault": map[string]any{"position": 8}}), "events.jsonl begins with another event than that of the fault"},
		{"a row that is none", text(rowsAt, `["accounts"]`), "rows.jsonl:1: cannot unmarshal array"},
		{"a row without columns", text(rowsAt, `{"table":"accounts","row":[]}`), "rows.jsonl:1: a row has a table, and an object"},
		{"a row with an unknown member", text(rowsAt, `{"table":"accounts","row":{},"file":"/etc/passwd"}`), `rows.jsonl:1: unknown field "file"`},
		{"a row too few", text(rowsAt, ""), "rows.jsonl has 0 rows, bundle.json says 1: the bundle was changed"},
	}
	file := written(t, sample())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.Read(bytes.NewReader(archive(t, test.change(members(t, file))...)), 1<<20)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestRead_refusesDamagedFiles(t *testing.T) {
	t.Parallel()
	file := written(t, sample())
	flipped := bytes.Clone(file)
	flipped[len(flipped)-6] ^= 1 // of the checksum
	for _, test := range []struct {
		name, want string
		file       []byte
	}{
		{"nothing", "is empty, and no bundle", nil},
		{"a text", "is no bundle, which is packed with gzip", []byte(`{"bounded_context":"C"}`)},
		{"another checksum", "is damaged, or no bundle (gzip: invalid checksum)", flipped},
		{"half a file", "ends in the middle: the file is not complete", file[:len(file)/2]},
	} {
		_, err := bundle.Read(bytes.NewReader(test.file), 1<<20)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: error is %v, want %q", test.name, err, test.want)
		}
	}
	// Zeros without end, behind the members.
	var bomb bytes.Buffer
	packed, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	unpacked, err := gzip.NewReader(bytes.NewReader(file))
	if err == nil {
		_, err = io.Copy(packed, unpacked)
	}
	zeros := make([]byte, 1<<20)
	for range (bundle.EventsBytesMax+bundle.RowsBytesMax)>>20 + 8 {
		if err == nil {
			_, err = packed.Write(zeros)
		}
	}
	if err != nil || packed.Close() != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Read(&bomb, 1<<20); err == nil || err.Error() != "is larger than a bundle can be when it is unpacked" {
		t.Errorf("a bomb: %v", err)
	}
}
