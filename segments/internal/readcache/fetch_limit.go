package readcache

import "github.com/pupwasm/pupwasm/store"

// fetchLimit is how many events to ask for at once: fewer after a page that was cut for its bytes, so that
// large events are not read to be dropped, and more again when they are small.
type fetchLimit struct {
	events int
	max    int
}

func newFetchLimit(most int) fetchLimit { return fetchLimit{events: most, max: most} }

// adapt takes into account what a read for the request brought.
func (p *fetchLimit) adapt(request store.ReadRequest, page *store.Page) {
	read := len(page.Events)
	if cut := read < request.Limit && page.Through < request.Through; cut {
		p.events = max(read, 1)
	} else if read == request.Limit && (request.Bytes == 0 || 2*page.Bytes <= request.Bytes) {
		p.events = min(2*request.Limit, p.max)
	}
}
