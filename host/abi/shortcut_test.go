package abi_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/pupwasm/pupwasm/host/abi"
)

// TestValues_shortcutsAgreeWithNext reads values that are complete, cut off or disturbed in both ways.
func TestValues_shortcutsAgreeWithNext(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var block []byte
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.String()).Draw(t, "text")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			block = abi.AppendI64(block, rapid.Int64().Draw(t, "i64"))
		case 1:
			block = abi.AppendTimestamp(block, rapid.Int64().Draw(t, "timestamp"))
		default:
			block = abi.AppendBytes(block, abi.KindText, text)
		}
		block = append(block, rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "behind")...)
		block = block[:len(block)-rapid.IntRange(0, min(3, len(block))).Draw(t, "cut off")]
		if at := rapid.IntRange(0, 3*len(block)).Draw(t, "disturbed"); at < len(block) {
			block[at] = rapid.SampledFrom([]byte{0, 1, 0x7F, 0x80, 0xFF}).Draw(t, "byte")
		}
		for _, kind := range []abi.Kind{abi.KindI64, abi.KindTimestamp} {
			shortcut, full := abi.NewValues(block), abi.NewValues(block)
			word, ok := shortcut.Word(kind)
			item, err := full.Next()
			if is := err == nil && !item.Array && item.Kind == kind; ok != is {
				t.Fatalf("Word of kind %d reports %t for % x, Next gives %+v and %v", kind, ok, block, item, err)
			}
			if ok && (word != item.Word || !bytes.Equal(shortcut.Rest(), full.Rest())) {
				t.Fatalf("Word gives %d and leaves % x, Next %d and % x", word, shortcut.Rest(), item.Word, full.Rest())
			}
			if !ok && len(shortcut.Rest()) != len(block) {
				t.Fatalf("Word has read something of % x", block)
			}
		}
		shortcut, full := abi.NewValues(block), abi.NewValues(block)
		got, ok := shortcut.Text()
		item, err := full.Next()
		if is := err == nil && !item.Array && item.Kind == abi.KindText && isASCII(item.Bytes); ok != is {
			t.Fatalf("Text reports %t for % x, Next gives %+v and %v", ok, block, item, err)
		}
		if ok && (!bytes.Equal(got, item.Bytes) || !bytes.Equal(shortcut.Rest(), full.Rest())) {
			t.Fatalf("Text gives %q and leaves % x, Next %q and % x", got, shortcut.Rest(), item.Bytes, full.Rest())
		}
		if !ok && len(shortcut.Rest()) != len(block) {
			t.Fatalf("Text has read something of % x", block)
		}
	})
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
