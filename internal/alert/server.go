package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

// responseBytesMax bounds what is read of an answer, whose status is all that matters.
const responseBytesMax = 4096

// server is told by POST.
type server struct {
	url    string
	host   string // as errors name it
	client *http.Client
}

func newServer(at *url.URL) *server {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives, transport.MaxResponseHeaderBytes = true, 64<<10
	return &server{url: at.String(), host: at.Host, client: &http.Client{
		Transport: transport,
		// A message goes to whom it was meant for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Tell posts the message. Only an answer of 2xx says that it arrived.
func (s *server) Tell(ctx context.Context, message Message) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(message.JSON))
	if err != nil {
		return s.failed(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "pupwasm")
	response, err := s.client.Do(request)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, responseBytesMax) // so that the server can end its answer
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%s answers %d: redirects are not followed", s.host, code)
	default:
		return fmt.Errorf("%s answers %d", s.host, code)
	}
}

// failed leaves the URL out of an error: its user, path and query may be secret.
func (s *server) failed(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("posting to %s: %w", s.host, oneline.Error(err))
}
