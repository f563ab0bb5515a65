package readcache

const (
	// cacheSizeMax and cachePagesMax bound what is kept. The pages are searched one by one.
	cacheSizeMax  = 64 << 20
	cachePagesMax = 128
	// pageEvents and cachePageBytes bound one shared read. A page has a few batches: the segment that is ahead
	// reads the next page while the others still work on this one.
	pageEvents     = 4096
	cachePageBytes = 8 << 20
	// spareMax is for how many pages memory is kept, and spareBytes what is worth it.
	spareMax   = 4
	spareBytes = 64 << 10

	// batchesNear is how many of its batches a segment may be behind another to count as near: it will come
	// while the page is kept.
	batchesNear = 4
	// chunkPagesMax bounds out of how many pages one chunk is taken, and so how much memory a slow segment
	// holds on to.
	chunkPagesMax = 4
	// dividedReadsMax bounds how many times its own share a segment reads at once when it reads for itself.
	dividedReadsMax = 8
	// fewNames is up to where comparing with one name after the other is faster than hashing.
	fewNames = 8

	// peekEvents and peekBytes bound what a poll brings along: more is better read in pages.
	peekEvents = 256
	peekBytes  = 1 << 20
	// peekBuffer is the room for payloads and metadata that such a page begins with.
	peekBuffer = 2 << 10
)
