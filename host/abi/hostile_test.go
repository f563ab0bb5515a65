package abi_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host/abi"
)

// hostile is a block that breaks a rule, or keeps them all in an unusual way. The same blocks are the
// committed corpora of the fuzz tests.
type hostile struct {
	name  string
	block []byte
	want  string // part of the error; empty: the block is good
}

func TestDecodeBatch_hostile(t *testing.T) {
	t.Parallel()
	checkHostile(t, hostileBatches(), func(block []byte) error {
		_, err := abi.DecodeBatch(block)
		return err
	})
}

func TestDecodeReply_hostile(t *testing.T) {
	t.Parallel()
	checkHostile(t, hostileReplies(), func(block []byte) error {
		_, err := readReply(block)
		return err
	})
}

func TestDecodeQuery_hostile(t *testing.T) {
	t.Parallel()
	checkHostile(t, hostileQueries(), func(block []byte) error {
		_, err := readQuery(block)
		return err
	})
}

func TestDecodeRows_hostile(t *testing.T) {
	t.Parallel()
	checkHostile(t, hostileRows(), func(block []byte) error {
		_, err := readRows(block)
		return err
	})
}

func checkHostile(t *testing.T, blocks []hostile, decode func(block []byte) error) {
	t.Helper()
	for _, h := range blocks {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			err := decode(h.block)
			switch {
			case h.want == "" && err != nil:
				t.Errorf("got error %v, the block is good", err)
			case h.want != "" && !errors.Is(err, abi.ErrFormat):
				t.Errorf("got error %v, want ErrFormat", err)
			case h.want != "" && !strings.Contains(err.Error(), h.want):
				t.Errorf("got error %q, want it to say %q", err, h.want)
			}
		})
	}
}

// TestCorpus keeps the committed corpora of the fuzz tests equal to the hostile blocks.
func TestCorpus(t *testing.T) {
	t.Parallel()
	corpora := map[string][]hostile{
		"FuzzDecodeBatch": hostileBatches(), "FuzzDecodeReply": hostileReplies(),
		"FuzzDecodeQuery": hostileQueries(), "FuzzDecodeRows": hostileRows(),
	}
	for fuzz, blocks := range corpora {
		for _, h := range blocks {
			if !worthCommitting(fuzz, h.name) {
				continue
			}
			path := filepath.Join("testdata", "fuzz", fuzz, h.name)
			want := "go test fuzz v1\n[]byte(" + strconv.Quote(string(h.block)) + ")\n"
			if *update {
				writeFile(t, path, []byte(want))
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%s is not the block of that name; run with -update (error %v)", path, err)
			}
		}
	}
}

// worthCommitting leaves out what would fill the corpus without teaching the fuzzer anything.
func worthCommitting(fuzz, name string) bool {
	value, isValue := strings.CutPrefix(name, "value_")
	return !isValue || fuzz == "FuzzDecodeReply" && !strings.HasPrefix(value, "numeric_wrong") &&
		!strings.HasPrefix(value, "json_deep")
}

// put overwrites a number in a copy of a block.
func put[T uint8 | uint16 | uint32](block []byte, offset int, v T) []byte {
	block = slices.Clone(block)
	switch v := any(v).(type) {
	case uint8:
		block[offset] = v
	case uint16:
		binary.LittleEndian.PutUint16(block[offset:], v)
	case uint32:
		binary.LittleEndian.PutUint32(block[offset:], v)
	}
	return block
}

// Offsets of the fields of a descriptor, and of a header.
const (
	fieldEncoding = 2
	fieldOffset   = 4
	fieldSize     = 8
	fieldEntries  = 12

	batchVersion, batchHeaderSize, batchSize, batchCount, batchColumns = 4, 6, 8, 12, 16
)

func hostileBatches() []hostile {
	base := (&batch{segment: 7, logLevel: 1, columns: allColumns(), events: goldenEvents()[:2]}).block()
	size := uint32(len(base))
	// descriptor is where a field of a column's descriptor is: allColumns has them in order of their ids.
	descriptor := func(id abi.Column, field int) int {
		return abi.BatchHeaderSize + abi.ColumnDescriptorSize*(int(id)-1) + field
	}
	at := func(id abi.Column) int { return int(binary.LittleEndian.Uint32(base[descriptor(id, fieldOffset):])) }
	columnSize := func(id abi.Column) uint32 { return binary.LittleEndian.Uint32(base[descriptor(id, fieldSize):]) }
	huge := put(put(base, batchCount, uint32(1<<30)), descriptor(abi.EventVersion, fieldSize), uint32(0))
	position := uint32(at(abi.GlobalPosition))
	shared := put(base, descriptor(abi.AggregateVersion, fieldOffset), position)
	return []hostile{
		{"empty", nil, "its header has 32"},
		{"header_cut_off", base[:31], "its header has 32"},
		{"header_only", base[:32], "says that it has"},
		{"wrong_magic", put(base, 0, uint32(abi.MagicReply)), "starts with"},
		{"version_0", put(base, batchVersion, uint16(0)), "version 0"},
		{"version_2", put(base, batchVersion, uint16(2)), "version 2"},
		{"truncated", base[:len(base)-8], "says that it has"},
		{"trailing_bytes", append(slices.Clone(base), 0), "says that it has"},
		{"size_0", put(base, batchSize, uint32(0)), "says that it has 0"},
		{"size_max", put(base, batchSize, uint32(math.MaxUint32)), "says that it has"},
		{"header_size_0", put(base, batchHeaderSize, uint16(0)), "do not fit"},
		{"header_size_31", put(base, batchHeaderSize, uint16(31)), "do not fit"},
		{"header_size_beyond", put(base, batchHeaderSize, uint16(math.MaxUint16)), "do not fit"},
		{"header_longer", asLaterHost(base), ""},
		{"count_max", put(base, batchCount, uint32(math.MaxUint32)), "events do not fit"},
		{"count_times_size_overflow", huge, "do not fit"},
		{"count_times_8_overflow", put(base, batchCount, uint32(1<<29)), "do not fit"},
		{"count_one_more", put(base, batchCount, uint32(3)), "for 3 events"},
		{"count_0_with_columns", put(base, batchCount, uint32(0)), "for 0 events"},
		{"columns_max", put(base, batchColumns, uint32(math.MaxUint32)), "4294967295 column descriptors do not fit"},
		{"columns_times_16_overflow", put(base, batchColumns, uint32(1<<28)), "column descriptors do not fit"},
		{"columns_0", put(base, batchColumns, uint32(0)), ""},
		{"column_id_unknown", put(base, descriptor(abi.TraceID, 0), uint16(16)), ""},
		{"column_id_0", put(base, descriptor(abi.TraceID, 0), uint16(0)), ""},
		{
			"column_id_unknown_elsewhere",
			put(put(base, descriptor(abi.TraceID, 0), uint16(999)), descriptor(abi.TraceID, fieldOffset),
				uint32(math.MaxUint32)), "",
		},
		{"encoding_0", put(base, descriptor(abi.Payload, fieldEncoding), uint16(0)), "payload has encoding 0"},
		{"encoding_6", put(base, descriptor(abi.Payload, fieldEncoding), uint16(6)), "payload has encoding 6"},
		{
			"payload_as_dictionary", put(base, descriptor(abi.Payload, fieldEncoding), uint16(abi.Dictionary)),
			"payload has encoding 4",
		},
		{
			"position_as_strings", put(base, descriptor(abi.GlobalPosition, fieldEncoding), uint16(abi.Strings)),
			"global_position has encoding 5",
		},
		{
			"type_as_fixed4", put(base, descriptor(abi.EventType, fieldEncoding), uint16(abi.Fixed4)),
			"event_type has encoding 1",
		},
		{
			"offset_unaligned", put(base, descriptor(abi.EventVersion, fieldOffset), uint32(at(abi.EventVersion)+4)),
			"lies outside",
		},
		{"offset_beyond", put(base, descriptor(abi.GlobalPosition, fieldOffset), size), "lies outside"},
		{"offset_max", put(base, descriptor(abi.GlobalPosition, fieldOffset), uint32(math.MaxUint32-7)), "lies outside"},
		{"offset_plus_size_overflow", put(put(base, descriptor(abi.Payload, fieldOffset), uint32(math.MaxUint32-7)),
			descriptor(abi.Payload, fieldSize), uint32(16)), "lies outside"},
		{"offset_0_over_the_header", put(base, descriptor(abi.GlobalPosition, fieldOffset), uint32(0)), ""},
		{"columns_overlap", shared, ""},
		{
			"column_size_one_more", put(base, descriptor(abi.CreatedAt, fieldSize), uint32(17)),
			"created_at has 17 bytes for 2 events",
		},
		{"column_size_max", put(base, descriptor(abi.CreatedAt, fieldSize), uint32(math.MaxUint32)), "lies outside"},
		{"dictionary_index_beyond", put(base, at(abi.EventType)+4, uint32(1)), "index beyond"},
		{"dictionary_index_max", put(base, at(abi.EventType), uint32(math.MaxUint32)), "index beyond"},
		{"dictionary_entries_0", put(base, descriptor(abi.EventType, fieldEntries), uint32(0)), "index beyond"},
		{"dictionary_entries_max", put(base, descriptor(abi.EventType, fieldEntries), uint32(math.MaxUint32)), "too short"},
		{"dictionary_entries_overflow", put(base, descriptor(abi.EventType, fieldEntries), uint32(1<<30-3)), "too short"},
		{"dictionary_start_falls", put(base, at(abi.EventType)+8, uint32(12)), "leaves the column"},
		{"dictionary_end_beyond", put(base, at(abi.EventType)+12, uint32(12)), "leaves the column"},
		{"dictionary_size_0", put(base, descriptor(abi.EventType, fieldSize), uint32(0)), "too short"},
		{"strings_start_falls", put(base, at(abi.Payload), uint32(18)), "leaves the column"},
		{"strings_start_max", put(base, at(abi.Payload)+8, uint32(math.MaxUint32)), "leaves the column"},
		{"strings_end_beyond", put(base, at(abi.Payload)+8, columnSize(abi.Payload)-11), "leaves the column"},
		{"strings_size_0", put(base, descriptor(abi.Payload, fieldSize), uint32(0)), "leaves the column"},
		{"strings_start_above_0", put(base, at(abi.Payload), uint32(3)), ""},
		{"text_not_utf8", put(base, at(abi.AggregateID)+12, uint8(0xFF)), ""},
	}
}

func hostileReplies() []hostile {
	good := appendValues(abi.AppendMutation(nil, 0, 2, 1), text("o-1"), i64(1))
	base := replyOf(1, good)
	list := []hostile{
		{"empty", nil, "its header has 24"},
		{"header_cut_off", base[:23], "its header has 24"},
		{"wrong_magic", put(base, 0, uint32(abi.MagicBatch)), "starts with"},
		{"version_2", put(base, 4, uint16(2)), "version 2"},
		{"status_2", put(base, 6, uint16(2)), "status 2"},
		{"truncated", base[:len(base)-1], "there are"},
		{"trailing_bytes", append(slices.Clone(base), 0), "there are"},
		{"size_max", put(base, 16, uint32(math.MaxUint32)), "4294967295 bytes follow"},
		{"trailing_within_the_size", replyOf(1, append(slices.Clone(good), 0)), "1 bytes follow the last mutation"},
		{"trailing_mutation", replyOf(0, good), "follow the last mutation"},
		{"count_max", put(base, 8, uint32(math.MaxUint32)), "do not fit"},
		{"count_times_size_overflow", put(base, 8, uint32(1<<29)), "do not fit"},
		{"count_one_more", put(base, 8, uint32(2)), "leaves the block"},
		{"code_beside_mutations", put(base, 12, uint32(7)), ""},
		{"reserved_is_ignored", put(base, 20, uint32(7)), ""},
		{"event_max", replyOf(1, abi.AppendMutation(nil, 0, 0, math.MaxUint32)), "names event 4294967295"},
		{"values_max", replyOf(1, abi.AppendMutation(nil, 0, math.MaxUint16, 0)), "a value is missing"},
		{
			"values_one_more", replyOf(1, appendValues(abi.AppendMutation(nil, 0, 3, 0), text("o-1"), i64(1))),
			"a value is missing",
		},
		{"error", abi.AppendErrorReply(nil, 1, 7, "no"), ""},
		{"error_with_mutations_beside_it", put(put(base, 6, uint16(1)), 8, uint32(0)), "NUL"},
		{"error_not_utf8", abi.AppendErrorReply(nil, 1, 7, "\xff"), "UTF-8"},
		{"error_with_nul", abi.AppendErrorReply(nil, 1, 7, "a\x00b"), "NUL"},
		{"error_truncated", abi.AppendErrorReply(nil, 1, 7, "message")[:30], "there are"},
	}
	for _, h := range hostileValues() {
		list = append(list, hostile{
			"value_" + h.name,
			replyOf(1, append(abi.AppendMutation(nil, 0, 1, 0), h.block...)), h.want,
		})
	}
	return list
}

func replyOf(mutations int, body []byte) []byte {
	return append(abi.AppendReply(nil, mutations, len(body)), body...)
}

// hostileValues are single values, which replies, queries and rows share.
func hostileValues() []hostile {
	u32 := func(kind byte, n uint32, rest string) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{kind}, n), rest...)
	}
	const array = abi.ArrayBit
	kind := func(k abi.Kind) byte { return byte(k) }
	number := func(digits int) []byte {
		return appendValues(nil, bytesOf(abi.KindNumeric, "-"+strings.Repeat("9", digits)))
	}
	list := []hostile{
		{"missing", nil, "a value is missing"},
		{"kind_10", []byte{10}, "kind 10"},
		{"kind_127", []byte{127}, "kind 127"},
		{"kind_array_of_null", u32(array, 0, ""), "kind 128"},
		{"kind_array_of_10", u32(array|10, 0, ""), "kind 138"},
		{"bool_2", []byte{kind(abi.KindBool), 2}, "a bool is 2"},
		{"bool_cut_off", []byte{kind(abi.KindBool)}, "leaves the block"},
		{"i64_cut_off", append([]byte{kind(abi.KindI64)}, "1234567"...), "leaves the block"},
		{"uuid_cut_off", append([]byte{kind(abi.KindUUID)}, "0123456789abcde"...), "leaves the block"},
		{"text_length_cut_off", []byte{kind(abi.KindText), 1, 0, 0}, "leaves the block"},
		{"text_length_max", u32(kind(abi.KindText), math.MaxUint32, "abc"), "length 4294967295"},
		{"text_length_one_more", u32(kind(abi.KindText), 4, "abc"), "length 4"},
		{"text_not_utf8", u32(kind(abi.KindText), 3, "a\xffb"), "UTF-8"},
		{"text_surrogate", u32(kind(abi.KindText), 3, "\xed\xa0\x80"), "UTF-8"},
		{"text_overlong", u32(kind(abi.KindText), 2, "\xc0\x80"), "UTF-8"},
		{"text_cut_character", u32(kind(abi.KindText), 2, "\xf0\x9f"), "UTF-8"},
		{"text_nul", u32(kind(abi.KindText), 3, "a\x00b"), "NUL"},
		{"bytes_any", u32(kind(abi.KindBytes), 3, "\x00\xff\xc0"), ""},
		{"json_empty", u32(kind(abi.KindJSON), 0, ""), "JSON"},
		{"json_two_values", u32(kind(abi.KindJSON), 3, "1 2"), "JSON"},
		{"json_not_utf8", u32(kind(abi.KindJSON), 3, "\"\xff\""), "JSON"},
		{"json_nul", u32(kind(abi.KindJSON), 3, "\"\x00\""), "JSON"},
		{
			"json_deeper_than_go_reads", u32(kind(abi.KindJSON), 20002, strings.Repeat("[", 10001)+strings.Repeat("]", 10001)),
			"JSON",
		},
		{"numeric_1000_digits", number(1000), ""},
		{"numeric_1001_digits", number(1001), "numeric"},
		{"array_count_max", u32(array|kind(abi.KindI64), math.MaxUint32, "\x00"), "length 4294967295"},
		{"array_count_times_size_overflow", u32(array|kind(abi.KindUUID), 1<<28, "\x00"), "length 268435456"},
		{"array_one_element_less", u32(array|kind(abi.KindI64), 1, "\x02"), "leaves the block"},
		{"array_element_missing", u32(array|kind(abi.KindBool), 2, "\x01\x01"), "a value is missing"},
		{"array_of_another_kind", u32(array|kind(abi.KindBool), 1, "\x00\x00"), "follow"},
		{
			"array_with_text_in_i64", append(u32(array|kind(abi.KindI64), 1, ""), appendValues(nil, text("abc"))...),
			"another kind",
		},
		{
			"array_of_arrays", append(u32(array|kind(abi.KindI64), 1, ""), appendValues(nil, arrayOf(abi.KindI64, null))...),
			"another kind",
		},
		{"array_head_only", u32(array|kind(abi.KindText), 1, ""), "length 1"},
		{"array_of_nulls", u32(array|kind(abi.KindText), 8, strings.Repeat("\x00", 8)), ""},
	}
	for i, wrong := range []string{
		"", "-", "+", "1e5", ".5", "5.", "1.2.3", "--1", "1-", " 1", "1 ", "0x1", "NaN",
		"Infinity", "١", "1_000", "-.5", "1,5",
	} {
		list = append(list, hostile{
			fmt.Sprintf("numeric_wrong_%02d", i),
			appendValues(nil, bytesOf(abi.KindNumeric, wrong)), "numeric",
		})
	}
	return list
}

func hostileQueries() []hostile {
	list := []hostile{
		{"empty", nil, "its header has 8"},
		{"header_cut_off", abi.AppendQuery(nil, 0, 0)[:7], "its header has 8"},
		{"index_max", abi.AppendQuery(nil, math.MaxUint32, 0), "index 4294967295"},
		{"arguments_max", abi.AppendQuery(nil, 0, math.MaxUint16), "a value is missing"},
		{"reserved_is_ignored", put(abi.AppendQuery(nil, 0, 0), 6, uint16(1)), ""},
		{"trailing_bytes", append(abi.AppendQuery(nil, 0, 0), 0), "ABI"},
	}
	for _, h := range hostileValues() {
		if h.want == "follow" {
			h.want = "ABI"
		}
		list = append(list, hostile{"value_" + h.name, append(abi.AppendQuery(nil, 0, 1), h.block...), h.want})
	}
	return list
}

func hostileRows() []hostile {
	// Counts that an int of 32 bits does not hold are wanted, too.
	head := func(rows, width uint32) []byte {
		return put(put(abi.AppendRows(nil, 0, 0), 0, rows), 4, width)
	}
	cells := strings.Repeat("\x00", 8)
	return []hostile{
		{"empty", nil, "its header has 8"},
		{"header_cut_off", head(0, 0)[:7], "its header has 8"},
		{"none", head(0, 0), ""},
		{"rows_max", head(math.MaxUint32, 1), "do not fit"},
		{"width_max", head(1, math.MaxUint32), "do not fit"},
		{"both_max", head(math.MaxUint32, math.MaxUint32), "do not fit"},
		{"rows_times_width_overflow", append(head(1<<16, 1<<16), cells...), "do not fit"},
		{"rows_without_values", head(math.MaxUint32, 0), "have no values"},
		{"no_rows_width_max", head(0, math.MaxUint32), "have 4294967295 values"},
		{"one_row_more", append(head(3, 3), cells...), "do not fit"},
		{"value_cut_off", append(head(2, 1), byte(abi.KindI64), 1, 2), "leaves the block"},
		{"nulls", append(head(4, 2), cells...), ""},
		{"trailing_bytes", append(head(1, 2), cells...), "ABI"},
	}
}
