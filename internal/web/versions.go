package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
)

// versions lists the versions of a projection.
func (h *handler) versions(ctx context.Context, r *http.Request) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	report, err := h.Reader.Read(ctx)
	if err != nil {
		return nil, err
	}
	all := []status.Projection{}
	for i := range report.Projections {
		if report.Projections[i].Name == p.Name {
			all = append(all, report.Projections[i])
		}
	}
	return all, nil
}

const (
	// exchangeTimeout bounds how long a promotion is tried, and a comparison waits until both versions meet.
	exchangeTimeout = 8 * time.Second
	// diffExamplesMax bounds the rows of an answer.
	diffExamplesMax = 1000
)

// diff compares two versions: ?a=1&b=2&examples=5.
func (h *handler) diff(ctx context.Context, r *http.Request) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	var ids [2]store.ProjectionID
	for i, name := range []string{"a", "b"} {
		id, ok := store.ParseVersion(p.Name, query.Get(name))
		if !ok {
			return nil, &statusError{http.StatusBadRequest, fmt.Sprintf("%s %.20q must be a version, such as 2", name, query.Get(name))}
		}
		ids[i] = id
	}
	examples, err := number(query, "examples", 0, diffExamplesMax, 5)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	// It is no action, and so holds nothing: the versions have to meet by themselves.
	comparison, err := h.Reader.tables.Compare(ctx, ids[0], ids[1], examples, func() {})
	if err != nil {
		return nil, refusal(err)
	}
	return status.ReportDifference(comparison, examples), nil
}

func number(query url.Values, name string, least, most, otherwise int) (int, error) {
	text := query.Get(name)
	if text == "" && otherwise > 0 {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, &statusError{http.StatusBadRequest, fmt.Sprintf("%s %.20q must be a number from %d to %d", name, text, least, most)}
	}
	return n, nil
}

// promote makes readers see a version, NAME@VERSION.
func (h *handler) promote(ctx context.Context, r *http.Request) (any, error) {
	return h.exchange(ctx, r, func(ctx context.Context, p *status.Projection) (store.Promotion, error) {
		return segments.Promote(ctx, h.Reader.tables, p.ID())
	})
}

// rollback makes readers see the version that the live one has replaced.
func (h *handler) rollback(ctx context.Context, r *http.Request) (any, error) {
	return h.exchange(ctx, r, func(ctx context.Context, p *status.Projection) (store.Promotion, error) {
		return segments.Rollback(ctx, h.Reader.tables, p.Name)
	})
}

func (h *handler) exchange(
	ctx context.Context, r *http.Request, try func(context.Context, *status.Projection) (store.Promotion, error),
) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	promotion, err := try(ctx, p)
	if err != nil {
		return nil, refusal(err)
	}
	h.Reader.changed()
	if promotion.From == promotion.To {
		return done{fmt.Sprintf("readers of %s see version %s already", p.Name, promotion.To.VersionText())}, nil
	}
	return done{fmt.Sprintf("readers of %s see version %s now, before it was version %s", p.Name,
		promotion.To.VersionText(), promotion.From.VersionText())}, nil
}

// rebuild asks for another build of the version that readers see.
func (h *handler) rebuild(ctx context.Context, r *http.Request) (any, error) {
	p, err := h.find(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	id, err := h.Reader.tables.Rebuild(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	h.Reader.changed()
	return done{fmt.Sprintf("version %s of %s is asked for, and built by the hosts that run the projection", id.VersionText(), p.Name)}, nil
}

// retire deletes a version, NAME@VERSION.
func (h *handler) retire(ctx context.Context, r *http.Request) (any, error) {
	id, err := h.toRetire(ctx, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if err := h.Reader.tables.Retire(ctx, id); err != nil {
		return nil, err
	}
	h.Reader.changed()
	return done{fmt.Sprintf("version %s of %s is retired", id.VersionText(), id.Name)}, nil
}

// toRetire is a version that is there, or a build that is asked for and has not begun.
func (h *handler) toRetire(ctx context.Context, name string) (id store.ProjectionID, err error) {
	p, err := h.find(ctx, name)
	if err == nil {
		return p.ID(), nil
	}
	plain, version, _ := strings.Cut(name, "@")
	id, ok := store.ParseVersion(plain, version)
	if !ok || id.Build == 0 {
		return id, err
	}
	live, unknown := h.find(ctx, plain)
	if unknown != nil || live.Version != id.Version || live.Rebuild != id.Build {
		return id, err
	}
	return id, nil
}

// refusal makes an error of a request what the state of the versions does not allow now.
func refusal(err error) error {
	var behind *store.BehindError
	var unbuilt *store.UnbuiltError
	var apart *store.ApartError
	if errors.As(err, &behind) || errors.As(err, &unbuilt) || errors.As(err, &apart) {
		return &statusError{http.StatusConflict, err.Error()}
	}
	return err
}
