package abi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

var update = flag.Bool("update", false,
	"rewrite testdata/golden and testdata/fuzz; read the difference before you commit it")

// replyJSON, queryJSON and rowsJSON are the readable forms, which testdata/README.md explains.
type replyJSON struct {
	About     string         `json:"about"`
	Status    abi.Status     `json:"status"`
	Mutations []mutationJSON `json:"mutations,omitempty"`
	Event     *uint32        `json:"event,omitempty"`
	Code      *uint32        `json:"code,omitempty"`
	Message   *string        `json:"message,omitempty"`
}

type mutationJSON struct {
	Write  int     `json:"write"`
	Event  int     `json:"event"`
	Values []value `json:"values"`
}

type queryJSON struct {
	About     string  `json:"about"`
	Query     int     `json:"query"`
	Arguments []value `json:"arguments"`
}

type rowsJSON struct {
	About string    `json:"about"`
	Rows  int       `json:"rows"`
	Width int       `json:"width"`
	Cells [][]value `json:"cells"`
}

// goldenFile is the form of one vector: from and to its JSON and its block.
type goldenFile interface {
	encode() []byte
	// decode reads a block into a form that must equal this one.
	decode(block []byte) (any, error)
}

func (r *replyJSON) encode() []byte {
	if r.Status == abi.StatusError {
		return abi.AppendErrorReply(nil, *r.Event, *r.Code, *r.Message)
	}
	var body []byte
	for _, m := range r.Mutations {
		body = abi.AppendMutation(body, uint16(m.Write), uint16(len(m.Values)), uint32(m.Event))
		body = appendValues(body, m.Values...)
	}
	return append(abi.AppendReply(nil, len(r.Mutations), len(body)), body...)
}

func (r *replyJSON) decode(block []byte) (any, error) {
	decoded, err := readReply(block)
	if err == nil {
		decoded.About = r.About
	}
	return decoded, err
}

// readReply reads a whole reply, as a host does.
func readReply(block []byte) (*replyJSON, error) {
	reply, err := abi.DecodeReply(block)
	if err != nil {
		return nil, err
	}
	r := &replyJSON{Status: reply.Status}
	if reply.Status == abi.StatusError {
		r.Event, r.Code, r.Message = &reply.Event, &reply.Code, &reply.Message
		return r, reply.End()
	}
	for range reply.Count {
		head, err := reply.Mutation()
		if err != nil {
			return nil, err
		}
		values, err := readValues(&reply.Values, head.Values)
		if err != nil {
			return nil, err
		}
		r.Mutations = append(r.Mutations, mutationJSON{Write: head.Write, Event: head.Event, Values: values})
	}
	return r, reply.End()
}

func (q *queryJSON) encode() []byte {
	return appendValues(abi.AppendQuery(nil, uint32(q.Query), uint16(len(q.Arguments))), q.Arguments...)
}

func (q *queryJSON) decode(block []byte) (any, error) {
	decoded, err := readQuery(block)
	if err == nil {
		decoded.About = q.About
	}
	return decoded, err
}

func readQuery(block []byte) (*queryJSON, error) {
	query, err := abi.DecodeQuery(block)
	if err != nil {
		return nil, err
	}
	arguments, err := readValues(&query.Values, query.Arguments)
	if err == nil && len(query.Rest()) > 0 {
		err = abi.ErrFormat
	}
	return &queryJSON{Query: query.Query, Arguments: arguments}, err
}

func (r *rowsJSON) encode() []byte {
	dst := abi.AppendRows(nil, r.Rows, r.Width)
	for _, row := range r.Cells {
		dst = appendValues(dst, row...)
	}
	return dst
}

func (r *rowsJSON) decode(block []byte) (any, error) {
	decoded, err := readRows(block)
	if err == nil {
		decoded.About = r.About
	}
	return decoded, err
}

func readRows(block []byte) (*rowsJSON, error) {
	rows, width, values, err := abi.DecodeRows(block)
	if err != nil {
		return nil, err
	}
	r := &rowsJSON{Rows: rows, Width: width}
	for range rows {
		row, err := readValues(&values, width)
		if err != nil {
			return nil, err
		}
		r.Cells = append(r.Cells, row)
	}
	if len(values.Rest()) > 0 {
		return nil, abi.ErrFormat
	}
	return r, nil
}

func (form *batchJSON) encode() []byte {
	b, err := parseBatch(mustJSON(form))
	if err != nil {
		panic(err)
	}
	block := b.block()
	if form.LaterHost {
		block = asLaterHost(block)
	}
	return block
}

func (form *batchJSON) decode(block []byte) (any, error) {
	like, err := parseBatch(mustJSON(form))
	if err != nil {
		return nil, err
	}
	decoded, err := abi.DecodeBatch(block)
	if err != nil {
		return nil, err
	}
	b, err := read(decoded, like.columns)
	if err != nil {
		return nil, err
	}
	readable := b.readable(form.About)
	readable.LaterHost = form.LaterHost
	return readable, nil
}

func mustJSON(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// newForm tells from a vector's name which form it has.
func newForm(name string) goldenFile {
	switch kind, _, _ := strings.Cut(name, "_"); kind {
	case "batch":
		return &batchJSON{}
	case "reply":
		return &replyJSON{}
	case "query":
		return &queryJSON{}
	default:
		return &rowsJSON{}
	}
}

// TestGolden checks the vectors that SDKs in other languages test themselves with, both ways: what the JSON
// describes is encoded to the very bytes of the block, and the block is decoded to what the JSON describes.
func TestGolden(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("testdata", "golden")
	vectors := goldenVectors()
	if *update {
		for name, vector := range vectors {
			writeFile(t, filepath.Join(folder, name+".json"), mustJSON(vector))
			writeFile(t, filepath.Join(folder, name+".bin"), vector.encode())
		}
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(paths) != 2*len(vectors) {
		t.Fatalf("%s has %d files, want 2 for each of %d vectors (error %v)", folder, len(paths), len(vectors), err)
	}
	for name, vector := range vectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			block := readFile(t, filepath.Join(folder, name+".bin"))
			described := readFile(t, filepath.Join(folder, name+".json"))
			if want := mustJSON(vector); !bytes.Equal(described, want) {
				t.Errorf("the JSON is not what the test builds; run with -update\n got %s\nwant %s", described, want)
			}
			form := newForm(name)
			if err := json.Unmarshal(described, form); err != nil {
				t.Fatalf("the JSON cannot be read: %v", err)
			}
			if got := form.encode(); !bytes.Equal(got, block) {
				t.Errorf("encoding what the JSON describes\n got %x\nwant %x", got, block)
			}
			decoded, err := form.decode(block)
			if err != nil {
				t.Fatalf("decoding the block: %v", err)
			}
			if got := mustJSON(decoded); !bytes.Equal(got, described) {
				t.Errorf("decoding the block\n got %s\nwant %s", got, described)
			}
			if !bytes.Equal(mustJSON(form), described) {
				t.Errorf("the JSON does not survive reading and writing")
			}
		})
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
