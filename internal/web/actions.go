package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// retry lets the failed segments of a projection go on.
func (h *handler) retry(ctx context.Context, r *http.Request) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	cleared, err := h.Reader.tables.Recover(ctx, p.ID())
	if err != nil {
		return nil, err
	}
	h.Reader.changed()
	return done{fmt.Sprintf("%s of %s: the failure is cleared", oneline.Count(int64(cleared), "segment"), p.Name)}, nil
}

// pause pauses a projection, or lets it go on. It does not wait for the hosts.
func (h *handler) pause(paused bool) serve {
	verb := map[bool]string{true: "is paused: hosts give up its segments", false: "goes on"}[paused]
	return func(ctx context.Context, r *http.Request) (any, error) {
		p, err := h.find(ctx, r.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if _, err := h.Reader.tables.SetPaused(ctx, p.Name, paused); err != nil {
			return nil, err
		}
		h.Reader.changed()
		return done{p.Name + " " + verb}, nil
	}
}

// order has a parked key retried, or its first event skipped.
func (h *handler) order(action store.ParkedAction) serve {
	return func(ctx context.Context, r *http.Request) (any, error) {
		key, err := keyOf(r.PathValue("key"))
		if err != nil {
			return nil, err
		}
		p, err := h.find(ctx, r.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if err := h.Reader.tables.Order(ctx, store.ParkedID{Projection: p.ID(), Key: key}, action); err != nil {
			return nil, err
		}
		h.Reader.changed()
		return done{fmt.Sprintf("%s is ordered for a key of %s: the host that has its segment does it", action, p.Name)}, nil
	}
}
