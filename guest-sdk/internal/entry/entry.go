// Package entry holds what package pup and its test kit share: the functions by which a host enters a guest, so
// that package puptest can be that host without them being part of the public interface of package pup.
package entry

// Describe returns the description of the registered projection as JSON. It is nil while none is registered.
var Describe func() []byte

// Apply handles a batch and returns the reply, which is valid until the next call. The block must be aligned to
// 8 bytes.
var Apply func(block []byte) []byte

// OnRow is, in a native test, what the batch that is handled next tells of each row that is begun, and whether
// Handle has returned before. It reports whether the row must not be taken.
var OnRow func(finished bool) (refuse bool)

// LeftBehind is what a guest and the test kit say when Handle returns before a goroutine that it started has ended.
const LeftBehind = "Handle has returned while a goroutine that it started is still at work, whose rows would be lost: " +
	"a projection does its work in Handle"
