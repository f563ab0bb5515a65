// Package webhook sends messages to an HTTP server, as CloudEvents by POST.
//
// # Requests
//
//	Content-Type       application/cloudevents+json; in binary mode that of the data, and the rest is in headers ce-…
//	Idempotency-Key    the id of the message, such as shop.v1.120.0: the same on every try
//	User-Agent         pupwasm
//	Authorization      Bearer and the token, where there is one
//	webhook-id         the id with dashes for its dots, shop-v1-120-0, where there is a secret
//	webhook-timestamp  of this try, in seconds since 1970
//	webhook-signature  v1, and HMAC-SHA256 of id, timestamp and body, with dots between them, in base64; one for each
//	                   secret, with blanks between them: see https://www.standardwebhooks.com
//
// Signatures are of the body: in binary mode they do not cover the headers ce-….
//
// # Answers
//
//	2xx                                     the message is sent; what the answer says does not matter
//	400, 406, 410 to 418, 422 and other 4xx the message is refused: [relay.RefusedError]
//	401, 402, 403, 404, 405, 407, 421, 426  the way there is wrong, not the message: it is tried again
//	408, 409, 425, 429, 5xx                 the receiver cannot now: it is tried again
//	307, 308                                is followed, see below
//	other 3xx                               is not followed: it is tried again
//	none in time, or a broken connection    it is tried again; the message may have arrived
//
// An answer that has the message tried again may say when, by Retry-After: [relay.LaterError], in an hour at most.
//
// # Redirects
//
// 307 and 308 are followed, three times at most, never from https to http. Nothing but the message goes to another
// host, or another port, than those of the URL: where there are secrets, tokens, headers or certificates to send, a
// redirect there is refused. Addresses of other hosts are checked when the connection is made, after DNS: only those
// of the internet are connected to, no private, loopback or link-local ones.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/store"
)

// Sink sends messages to an HTTP server.
type Sink struct {
	url     string
	at      *url.URL
	options Options
	signers []*standardwebhooks.Webhook
	routes  *routes
	client  *http.Client
	mask    *mask // of what must not be seen
}

var _ relay.Sink = (*Sink)(nil)

// Open returns a sink that sends to a URL. It does not connect.
//
// # Errors
//
// Of the URL, the options and the files that they name, in one line without secrets.
func Open(url string, options Options) (*Sink, error) {
	return open(url, options, http.ProxyFromEnvironment)
}

func open(text string, options Options, proxy proxyOf) (*Sink, error) {
	at, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	options.Headers = options.Headers.Clone()
	s := &Sink{url: text, at: at, options: options, mask: newMask(at, &options)}
	if s.signers, err = options.signers(); err != nil {
		return nil, err
	}
	config, err := options.tls()
	if err != nil {
		return nil, oneline.Error(err)
	}
	s.routes = newRoutes(at, &options, config, proxy)
	s.client = &http.Client{Transport: s.routes, CheckRedirect: s.checkRedirect}
	return s, nil
}

// Send posts a message.
func (s *Sink) Send(ctx context.Context, message *store.OutboxMessage) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, fmt.Errorf("no answer within %s", s.options.Timeout))
	defer cancel()
	request, err := s.request(ctx, &message.Message)
	if err != nil {
		return s.failed(ctx, err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return s.failed(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols { // its body does not end with ctx
		return s.outcome(response, nil)
	}
	return s.outcome(response, readAnswer(response.Body, cancel))
}

func (s *Sink) request(ctx context.Context, message *store.Message) (*http.Request, error) {
	event := cloudevents.Of(message, s.options.Source)
	var body []byte // of its own: the transport may read it when Send has given up
	if s.options.Mode == ModeStructured {
		body = event.AppendJSON(nil)
	} else {
		body = bytes.Clone(event.Data)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	header := request.Header
	header.Set("User-Agent", "pupwasm")
	for name, values := range s.options.Headers {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header.Set("Content-Type", cloudevents.ContentType)
	if s.options.Mode == ModeBinary {
		header.Set("Content-Type", event.DataContentType)
		for name, value := range event.Headers() {
			header.Set(name, value)
		}
	}
	header.Set("Idempotency-Key", event.ID)
	if s.options.Token != "" {
		header.Set("Authorization", "Bearer "+s.options.Token)
	}
	return request, s.sign(header, event.ID, body)
}

// sign adds the headers of Standard Webhooks. Their id has no dots: with some it could be cut elsewhere, so that one
// signature is of two messages.
func (s *Sink) sign(header http.Header, id string, body []byte) error {
	if len(s.signers) == 0 {
		return nil
	}
	id = strings.ReplaceAll(id, ".", "-")
	now := clock.Now()
	signatures := make([]string, len(s.signers))
	for i, signer := range s.signers {
		var err error
		if signatures[i], err = signer.Sign(id, now, body); err != nil {
			return err
		}
	}
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// failed is the error of a try without an answer.
func (s *Sink) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", s.at.Host, oneline.Error(context.Cause(ctx)))
	}
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // without the URL
	}
	return fmt.Errorf("%s: %s", s.at.Host, s.visible(oneline.Of(err)))
}

// Concurrency is that of the options.
func (s *Sink) Concurrency() int { return s.options.Concurrency }

// Target is the scheme and the host.
func (s *Sink) Target() string { return s.at.Scheme + "://" + s.at.Host }

// Close closes the connections that wait for more.
func (s *Sink) Close() error {
	s.routes.close()
	return nil
}

// errorBytesMax bounds what is told of an error.
const errorBytesMax = 500

// visible masks what must not be seen, and bounds the length.
func (s *Sink) visible(text string) string {
	text = s.mask.Replace(text)
	return strings.ToValidUTF8(text[:min(len(text), errorBytesMax)], "\uFFFD")
}
