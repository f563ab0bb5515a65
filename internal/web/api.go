package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pupwasm/pupwasm/internal/doctor"
	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

func timeout(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), requestTimeout)
}

func (h *handler) status(ctx context.Context, _ *http.Request) (any, error) {
	return h.Reader.Read(ctx)
}

func (h *handler) doctor(ctx context.Context, _ *http.Request) (any, error) {
	return doctor.Examine(ctx, h.Reader.log, h.Reader.tables)
}

func (h *handler) projection(ctx context.Context, r *http.Request) (any, error) {
	return h.find(ctx, r.PathValue("name"))
}

// find returns the status of a projection: of the version that readers see, or of another one by NAME@VERSION.
func (h *handler) find(ctx context.Context, name string) (*status.Projection, error) {
	report, err := h.Reader.Read(ctx)
	if err != nil {
		return nil, err
	}
	var at int
	if plain, version, versioned := strings.Cut(name, "@"); versioned {
		at = findVersion(report, plain, version)
	} else {
		at = slices.IndexFunc(report.Projections, func(p status.Projection) bool {
			return p.Name == name && (p.Stage == store.StageLive || !p.Installed)
		})
	}
	if at < 0 {
		return nil, &statusError{http.StatusNotFound, fmt.Sprintf("there is no projection %.40q: /api/v1/status has all", name)}
	}
	return &report.Projections[at], nil
}

// findVersion finds what [store.FindVersion] does, or returns -1.
func findVersion(report *status.Report, name, version string) (at int) {
	at = -1
	id, ok := store.ParseVersion(name, version)
	for i := range report.Projections {
		switch p := &report.Projections[i]; {
		case !ok || p.Name != name || p.Version != id.Version:
		case p.Build == id.Build:
			return i
		case id.Build == 0 && (at < 0 || report.Projections[at].Stage != store.StageLive):
			at = i
		}
	}
	return at
}

// parkedPageMax is the most parked keys of an answer.
const parkedPageMax = 1000

// parkedKeys is the answer of /parked.
type parkedKeys struct {
	Parked []status.ParkedKey `json:"parked"`
	// Next is the after of the next page, or empty where there is none.
	Next string `json:"next,omitempty"`
}

// parked lists parked keys, in pages: ?limit=N and ?after=KEY, as next has it.
func (h *handler) parked(ctx context.Context, r *http.Request) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	query, limit := r.URL.Query(), 100
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > parkedPageMax {
			return nil, &statusError{http.StatusBadRequest, fmt.Sprintf("limit %.20q must be 1 to %d", text, parkedPageMax)}
		}
	}
	request := store.ParkedRequest{
		Projection: p.ID(), Range: store.FullRange(), Limit: limit + 1,
	}
	if text := query.Get("after"); text != "" {
		if request.After.Key, err = keyOf(text); err != nil {
			return nil, err
		}
		request.After.Projection = request.Projection
	}
	keys, err := h.Reader.tables.Parked(ctx, request)
	if err != nil {
		return nil, err
	}
	answer := parkedKeys{Parked: []status.ParkedKey{}}
	if len(keys) > limit {
		keys = keys[:limit]
		answer.Next = status.KeyText(keys[limit-1].Key)
	}
	for i := range keys {
		answer.Parked = append(answer.Parked, status.ReportParked(&keys[i]))
	}
	return answer, nil
}

// keyOf reads a partition key as [status.KeyText] writes it.
func keyOf(text string) ([]byte, error) {
	key, err := status.ParseKey(text)
	if err != nil {
		return nil, &statusError{http.StatusBadRequest, fmt.Sprintf("key %.80q: %v", text, err)}
	}
	return key, nil
}

// done is the answer to an action.
type done struct {
	Done string `json:"done"` // what was done, in one line
}
