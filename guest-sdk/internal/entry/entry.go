// Package entry holds the two functions by which a host enters a guest, so that package puptest can be that host without them
// being part of the public interface of package pup.
package entry

// Describe returns the description of the registered projection as JSON. It is nil while none is registered.
var Describe func() []byte

// Apply handles a batch and returns the reply, which is valid until the next call. The block must be aligned to 8 bytes.
var Apply func(block []byte) []byte

// OnRow is, in a native test, what the batch that is handled next tells of each row that is begun, and whether Handle has returned before.
// It reports whether the row must not be taken.
var OnRow func(finished bool) (refuse bool)
