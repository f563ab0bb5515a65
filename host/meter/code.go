package meter

import "encoding/binary"

// code is WebAssembly under construction.
type code []byte

func (c *code) op(bytes ...byte) *code {
	*c = append(*c, bytes...)
	return c
}

func (c *code) unsigned(n uint32) *code {
	*c = appendUint(*c, n)
	return c
}

func (c *code) signed(n int64) *code {
	for {
		b := byte(n & 0x7F)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return c.op(b)
		}
		c.op(b | 0x80)
	}
}

func (c *code) i64(n int64) *code { return c.op(opI64Const).signed(n) }

func (c *code) globalGet(index uint32) *code { return c.op(opGlobalGet).unsigned(index) }

func (c *code) globalSet(index uint32) *code { return c.op(opGlobalSet).unsigned(index) }

// add adds a number to a global.
func (c *code) add(global uint32, n int64) *code {
	return c.globalGet(global).i64(n).op(opI64Add).globalSet(global)
}

func appendUint(out []byte, n uint32) []byte { return binary.AppendUvarint(out, uint64(n)) }

func appendSection(out []byte, id byte, content []byte) []byte {
	return append(appendUint(append(out, id), uint32(len(content))), content...)
}
