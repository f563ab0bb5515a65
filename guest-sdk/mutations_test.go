package pup

import "testing"

// TestMutations_outgrowASmallBufferOnce has a reply that is larger than the buffer that was there, and not
// larger than the batch.
func TestMutations_outgrowASmallBufferOnce(t *testing.T) {
	t.Parallel()
	const batch, before = 100_000, 30_000
	m := newMutations(make([]byte, before), batch)
	grown := 0
	for size := len(m.row.buffer); m.row.size+8 < batch; {
		m.row.room(8)
		if len(m.row.buffer) != size {
			size = len(m.row.buffer)
			grown++
		}
	}
	if grown != 1 {
		t.Errorf("the buffer was grown %d times, to %d bytes", grown, len(m.row.buffer))
	}
}
