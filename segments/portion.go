package segments

import "github.com/pupwasm/pupwasm/store"

// portion is how many events to ask for at once: fewer after a page that was cut for its bytes, so that large events are not read
// to be dropped, and more again when they are small.
type portion struct {
	limit int
	most  int
}

func newPortion(most int) portion { return portion{limit: most, most: most} }

// adapt looks at what a read for the request brought.
func (p *portion) adapt(request store.ReadRequest, page *store.Page) {
	read := len(page.Events)
	if cut := read < request.Limit && page.Through < request.Through; cut {
		p.limit = max(read, 1)
	} else if read == request.Limit && (request.Bytes == 0 || 2*page.Bytes <= request.Bytes) {
		p.limit = min(2*request.Limit, p.most)
	}
}
