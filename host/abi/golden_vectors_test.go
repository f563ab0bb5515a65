package abi_test

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// goldenVectors builds the vectors by name.
func goldenVectors() map[string]goldenFile {
	three := goldenEvents()
	named := func(ids ...abi.Column) []columnForm {
		return slices.DeleteFunc(allColumns(), func(c columnForm) bool { return !slices.Contains(ids, c.id) })
	}
	all := &batch{segment: 7, logLevel: 1, columns: allColumns(), events: three}
	few := &batch{
		logLevel: 4, columns: named(abi.GlobalPosition, abi.AggregateVersion, abi.EventType, abi.Payload),
		events: three,
	}
	empty := &batch{segment: 2, logLevel: 0, columns: allColumns()}
	later := &batch{
		logLevel: 3, columns: named(abi.GlobalPosition, abi.AggregateVersion, abi.AggregateType),
		events: three,
	}
	keys := &batch{
		logLevel: 3, events: goldenKeys(),
		columns: append(named(abi.GlobalPosition, abi.AggregateVersion, abi.AggregateID),
			columnForm{abi.PartitionKey, abi.Strings}),
	}
	laterForm := later.readable("what a later host may send: a longer header, and columns of unknown id and encoding, which a reader skips")
	laterForm.LaterHost = true
	return map[string]goldenFile{
		"batch_all_columns":      all.readable("three events with every column, in the encodings that the host chooses"),
		"batch_few_columns":      few.readable("a guest that asked for two columns gets them and the two that come always"),
		"batch_empty":            empty.readable("no events: columns are there, dictionaries have no entries"),
		"batch_texts_dictionary": goldenTexts(abi.Dictionary).readable("the same texts as batch_texts_strings, every text column in encoding 4"),
		"batch_texts_strings":    goldenTexts(abi.Strings).readable("the same texts as batch_texts_dictionary, every text column in encoding 5"),
		"batch_later_host":       laterForm,
		"batch_partition_key":    keys.readable("the key by which events are divided: that of the payload, empty, and the stream's id"),
		"reply_empty":            &replyJSON{About: "status 0 without mutations"},
		"reply_values":           goldenValues(),
		"reply_arrays":           goldenArrays(),
		"reply_messages":         goldenMessages(),
		"reply_error":            errorVector("an error at event 2 of the batch", 2, 42, "stock is −1 for article „A-1”"),
		"reply_error_no_event": errorVector("an error that concerns no single event, without a text", abi.NoEvent,
			math.MaxUint32, ""),
		"query_by_key": &queryJSON{About: "a declarative query for three keys of two columns", Query: 1, Arguments: []value{
			arrayOf(abi.KindText, text("o-1"), text("o-2"), text("o-3")), arrayOf(abi.KindI64, i64(1), i64(2), i64(-3)),
		}},
		"query_no_arguments": &queryJSON{About: "a SQL query without parameters", Query: 0, Arguments: []value{}},
		"rows_by_key": &rowsJSON{
			About: "two of three keys were found: their index, then the columns", Rows: 2, Width: 3,
			Cells: [][]value{
				{i64(0), bytesOf(abi.KindNumeric, "12.50"), null}, {i64(2), bytesOf(abi.KindNumeric, "-0.01"), text("späť")},
			},
		},
		"rows_none": &rowsJSON{About: "nothing was found", Rows: 0, Width: 3},
	}
}

// goldenEvents are three events with texts of one to four bytes a character, empty values, bytes that are not UTF-8 and
// numbers that no double holds.
func goldenEvents() []event {
	return []event{
		{
			abi.GlobalPosition: int64(1), abi.AggregateVersion: int64(1), abi.BoundedContext: "sales", abi.AggregateType: "order",
			abi.AggregateID: "o-1", abi.EventID: [16]byte{0x01, 0x8f, 0x2d, 0x4e, 0, 0, 0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8},
			abi.EventType: "OrderPlaced", abi.EventVersion: uint32(1), abi.Payload: `{"total":"12.50"}`, abi.Metadata: `{}`,
			abi.TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", abi.CorrelationID: "c-1", abi.CausationID: "",
			abi.CreatedAt: int64(1_714_557_600_123_456), abi.PartitionHash: uint32(0x6b1f3c52),
		},
		{
			abi.GlobalPosition: int64(3), abi.AggregateVersion: int64(1), abi.BoundedContext: "sales", abi.AggregateType: "order",
			abi.AggregateID: "ø-2 漢字 🙂", abi.EventID: [16]byte{15: 1},
			abi.EventType: "OrderPlaced", abi.EventVersion: uint32(2), abi.Payload: "\x00\xff\xfe binary", abi.Metadata: `{"user":"Žofia"}`,
			abi.TraceID: "", abi.CorrelationID: "", abi.CausationID: "018f2d4e-0000-7001-8002-030405060708",
			abi.CreatedAt: int64(-1), abi.PartitionHash: uint32(math.MaxUint32),
		},
		{
			abi.GlobalPosition: int64(1<<53 + 1), abi.AggregateVersion: int64(math.MaxInt64), abi.BoundedContext: "billing", abi.AggregateType: "invoice",
			abi.AggregateID: "i-1", abi.EventID: [16]byte{},
			abi.EventType: "InvoiceSent", abi.EventVersion: uint32(math.MaxInt32), abi.Payload: "", abi.Metadata: `{"n":[1,2]}`,
			abi.TraceID: "", abi.CorrelationID: "c-1", abi.CausationID: "",
			abi.CreatedAt: int64(math.MinInt64), abi.PartitionHash: uint32(0),
		},
	}
}

// goldenKeys are three events with a partition key.
func goldenKeys() []event {
	events := goldenEvents()
	for i, key := range []string{"customer 漢字 1", "", "i-1"} {
		events[i][abi.PartitionKey] = key
	}
	return events
}

// goldenTexts has the columns that may come in either encoding, all in one of them.
func goldenTexts(encoding abi.Encoding) *batch {
	b := &batch{logLevel: 2, events: append(goldenEvents(), goldenEvents()...)}
	for i, e := range b.events {
		e[abi.GlobalPosition] = int64(i + 1)
		e[abi.AggregateVersion] = int64(i/3 + 1)
	}
	for _, c := range allColumns() {
		if c.encoding == abi.Dictionary || c.encoding == abi.Strings && c.id != abi.Payload && c.id != abi.Metadata {
			c.encoding = encoding
		}
		if c.id == abi.GlobalPosition || c.id == abi.AggregateVersion || c.encoding == encoding &&
			c.id != abi.Payload && c.id != abi.Metadata {
			b.columns = append(b.columns, c)
		}
	}
	return b
}

func goldenValues() *replyJSON {
	long := strings.Repeat("9876543210", 30) + "." + strings.Repeat("0123456789", 30)
	return &replyJSON{About: "every kind of value, at its limits", Mutations: []mutationJSON{
		{Write: 0, Event: 0, Values: []value{
			null, boolean(true), i64(-5), f64(1.5), bytesOf(abi.KindNumeric, "12.50"), text("žltý kôň 🐎"),
			bytesOf(abi.KindBytes, "\x00\xff"), bytesOf(abi.KindJSON, `{"a":[1,null,"x"]}`),
			timestamp(1_714_557_600_123_456),
			bytesOf(abi.KindUUID, "\x01\x8f\x2d\x4e\x00\x00\x70\x01\x80\x02\x03\x04\x05\x06\x07\x08"),
		}},
		{Write: 1, Event: 2, Values: []value{
			boolean(false), i64(math.MinInt64), i64(math.MaxInt64), i64(1<<53 + 1), timestamp(-1), timestamp(0),
			f64(math.Copysign(0, -1)), f64(math.Inf(-1)),
			{kind: abi.KindF64, word: quietNaN},
			f64(math.SmallestNonzeroFloat64), f64(0.1),
		}},
		{Write: 65535, Event: 1, Values: []value{
			text(""), bytesOf(abi.KindBytes, ""), bytesOf(abi.KindJSON, "null"), bytesOf(abi.KindJSON, ` "\u00e9" `),
			bytesOf(abi.KindNumeric, "+0"), bytesOf(abi.KindNumeric, "-007.10"), bytesOf(abi.KindNumeric, long),
			bytesOf(abi.KindUUID, strings.Repeat("\x00", 16)),
		}},
		{Write: 2, Event: 1, Values: []value{}},
	}}
}

func goldenArrays() *replyJSON {
	return &replyJSON{
		About: "arrays of every kind, with null elements, empty, and of nulls only",
		Mutations: []mutationJSON{
			{Write: 3, Event: 0, Values: []value{
				arrayOf(abi.KindBool, boolean(true), null, boolean(false)),
				arrayOf(abi.KindI64, i64(1), null, i64(-1)),
				arrayOf(abi.KindF64, f64(0.5), null),
				arrayOf(abi.KindNumeric, bytesOf(abi.KindNumeric, "0.10"), null),
				arrayOf(abi.KindText, text("a"), null, text("")),
				arrayOf(abi.KindBytes, bytesOf(abi.KindBytes, "\xff"), null),
				arrayOf(abi.KindJSON, bytesOf(abi.KindJSON, "[]"), null),
				arrayOf(abi.KindTimestamp, timestamp(0), null),
				arrayOf(abi.KindUUID, bytesOf(abi.KindUUID, "0123456789abcdef"), null),
			}},
			{Write: 3, Event: 1, Values: []value{arrayOf(abi.KindI64), arrayOf(abi.KindText, null, null)}},
		},
	}
}

func goldenMessages() *replyJSON {
	return &replyJSON{
		About: "messages of a module with two writes: 2 has a subject with two names and json, 3 no names and text, 4 bytes; " +
			"rows are between them, and events have them in any order",
		Mutations: []mutationJSON{
			{Write: 2, Event: 1, Values: []value{text("c.1 ø"), text(""), bytesOf(abi.KindJSON, `{"paid":true}`)}},
			{Write: 0, Event: 0, Values: []value{text("c1"), i64(1)}},
			{Write: 3, Event: 0, Values: []value{text("žltý kôň 🐎")}},
			{Write: 4, Event: 0, Values: []value{bytesOf(abi.KindBytes, "\x00\xff")}},
			{Write: 2, Event: 0, Values: []value{text("c1"), text("o1"), bytesOf(abi.KindJSON, "null")}},
		},
	}
}

func errorVector(about string, event, code uint32, message string) *replyJSON {
	return &replyJSON{About: about, Status: abi.StatusError, Event: &event, Code: &code, Message: &message}
}

// asLaterHost turns a block into what a later host may send and every reader has to understand: a header that
// is 16 bytes longer, and three columns more, of unknown ids before and after the known ones, of known and
// unknown encodings.
func asLaterHost(block []byte) []byte {
	const longer, columns = 16, 3
	shift := uint32(longer + columns*abi.ColumnDescriptorSize)
	count := int(binary.LittleEndian.Uint32(block[16:]))
	out := slices.Clone(block[:abi.BatchHeaderSize])
	out = append(out, "a later field..."...)
	unknown := func(id, encoding uint16, offset, size uint32) {
		out = binary.LittleEndian.AppendUint16(out, id)
		out = binary.LittleEndian.AppendUint16(out, encoding)
		out = binary.LittleEndian.AppendUint32(out, offset)
		out = binary.LittleEndian.AppendUint32(out, size)
		out = binary.LittleEndian.AppendUint32(out, 0)
	}
	size := uint32(len(block)) + shift
	unknown(999, uint16(abi.Fixed8), size, 8)
	for i := range count {
		descriptor := slices.Clone(block[abi.BatchHeaderSize+i*abi.ColumnDescriptorSize:][:abi.ColumnDescriptorSize])
		binary.LittleEndian.PutUint32(descriptor[4:], binary.LittleEndian.Uint32(descriptor[4:])+shift)
		out = append(out, descriptor...)
	}
	unknown(998, 77, size+8, 3)
	unknown(0xFFFF, 0, 0, 0)
	out = append(out, block[abi.BatchHeaderSize+count*abi.ColumnDescriptorSize:]...)
	out = append(out, "8 bytes.3 b....."...)
	binary.LittleEndian.PutUint16(out[6:], abi.BatchHeaderSize+longer)
	binary.LittleEndian.PutUint32(out[8:], uint32(len(out)))
	binary.LittleEndian.PutUint32(out[16:], uint32(count+columns))
	return out
}
