package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

const (
	redirectsMax   = 3
	headerBytesMax = 64 << 10 // of an answer
	connectTime    = 30 * time.Second
)

// proxyOf returns the proxy by which a request goes, nil for none.
type proxyOf func(*http.Request) (*url.URL, error)

// routes are the ways to the host of the URL, and to others.
type routes struct {
	at              *url.URL
	home, elsewhere *http.Transport
}

func newRoutes(at *url.URL, options *Options, config *tls.Config, proxy proxyOf) *routes {
	home := http.DefaultTransport.(*http.Transport).Clone()
	home.Proxy = func(request *http.Request) (*url.URL, error) {
		by, err := proxy(request)
		if err != nil {
			return nil, errors.New("the proxy that the environment names is no URL") // it may have a password
		}
		return by, nil
	}
	home.TLSClientConfig = config
	home.MaxResponseHeaderBytes, home.DisableCompression = headerBytesMax, true
	home.MaxIdleConns, home.MaxIdleConnsPerHost = options.Concurrency, options.Concurrency

	elsewhere := home.Clone()
	if !options.AllowPrivateRedirects {
		guard := &net.Dialer{Timeout: connectTime, KeepAlive: connectTime, Control: ssrf.New(ssrf.WithAnyPort()).Safe}
		elsewhere.DialContext = guard.DialContext
		elsewhere.Proxy = func(request *http.Request) (*url.URL, error) {
			by, err := home.Proxy(request)
			if by != nil {
				return nil, errors.New("its address cannot be checked behind a proxy")
			}
			return nil, err
		}
	}
	return &routes{at: at, home: home, elsewhere: elsewhere}
}

// RoundTrip makes a request.
func (r *routes) RoundTrip(request *http.Request) (*http.Response, error) {
	if r.isHome(request.URL) {
		return r.home.RoundTrip(request)
	}
	response, err := r.elsewhere.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("redirects to %.100q: %w", request.URL.Host, err)
	}
	return response, nil
}

func (r *routes) close() {
	r.home.CloseIdleConnections()
	r.elsewhere.CloseIdleConnections()
}

// isHome reports that a URL is of the host and the port that were given, or of the ones for https where http was.
func (r *routes) isHome(at *url.URL) bool {
	if !strings.EqualFold(at.Hostname(), r.at.Hostname()) {
		return false
	}
	upgrades := r.at.Scheme == "http" && port(r.at) == "80" && at.Scheme == "https" && port(at) == "443"
	return upgrades || port(at) == port(r.at)
}

func port(at *url.URL) string {
	switch given := at.Port(); {
	case given != "":
		return given
	case at.Scheme == "https":
		return "443"
	}
	return "80"
}

// checkRedirect decides on a redirect, see the package.
func (s *Sink) checkRedirect(to *http.Request, via []*http.Request) error {
	to.Header.Del("Referer") // the URL may have secrets
	if code := to.Response.StatusCode; code != http.StatusTemporaryRedirect && code != http.StatusPermanentRedirect {
		return http.ErrUseLastResponse
	}
	scheme := to.URL.Scheme
	switch {
	case len(via) > redirectsMax:
		return fmt.Errorf("redirects more than %d times", redirectsMax)
	case scheme != "https" && (scheme != "http" || via[len(via)-1].URL.Scheme == "https"):
		return fmt.Errorf("redirects from %s to %.20q, which is not followed", via[len(via)-1].URL.Scheme, scheme)
	case to.URL.User != nil:
		return errors.New("redirects to a URL with a user, which is not followed")
	case !s.routes.isHome(to.URL) && s.hasCredentials():
		return fmt.Errorf("redirects to %.100q, which does not get signatures, tokens, headers and certificates; "+
			"set the URL to it if you trust it",
			to.URL.Host)
	}
	return nil
}

// hasCredentials reports that requests have something that is for the receiver only.
func (s *Sink) hasCredentials() bool {
	return len(s.signers) > 0 || s.options.Token != "" || len(s.options.Headers) > 0 || s.options.CertFile != ""
}
