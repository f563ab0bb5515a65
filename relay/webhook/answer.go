package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pupwasm/pupwasm/internal/clock"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/relay"
)

const (
	// answerBytesMax bounds what is read of an answer, and answerTime how long its rest is waited for when its status is
	// there. It is read so that the connection can be used again.
	answerBytesMax = 8 << 10
	answerTime     = time.Second
	// Of these is what people are shown: the first bytes, of which the first characters. The bytes are fewer than are
	// read by more than a secret has, so that none is cut off before it is masked.
	excerptBytesMax = 1 << 10
	excerptRunesMax = 200
	// retryAfterMax is the longest that a relay waits.
	retryAfterMax = time.Hour
)

// readAnswer reads some of an answer. It gives up by cancel, which ends the request.
func readAnswer(body io.Reader, cancel context.CancelFunc) []byte {
	timer := time.AfterFunc(answerTime, cancel)
	defer timer.Stop()
	text, _ := io.ReadAll(io.LimitReader(body, answerBytesMax))
	return text
}

// outcome is what an answer says of the message, see the package.
func (s *Sink) outcome(response *http.Response, body []byte) error {
	code := response.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("%s answers %d%s", s.name(response), code, s.excerpt(body))
	switch {
	case code >= 300 && code < 400:
		err = fmt.Errorf("%s answers %d: only redirects by 307 and 308 with a Location are followed; "+
			"set the URL to where it leads", s.name(response), code)
	case isRefusal(code):
		return &relay.RefusedError{Err: err}
	}
	if after := retryAfter(response.Header); after > 0 {
		return &relay.LaterError{After: after, Err: err}
	}
	return err
}

// isRefusal reports that a status is of the message itself, rather than of the way there or of this moment.
func isRefusal(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusUpgradeRequired,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusConflict: // another try with this Idempotency-Key may be under way
		return false
	}
	return code >= 400 && code < 500
}

// name is the host that answers.
func (s *Sink) name(response *http.Response) string {
	if host := response.Request.URL.Host; host != s.at.Host {
		return fmt.Sprintf("%s, to which %s redirects,", s.visible(oneline.Text(host)), s.at.Host)
	}
	return s.at.Host
}

// excerpt is the beginning of what an answer says.
func (s *Sink) excerpt(body []byte) string {
	text := s.mask.Replace(string(body))
	text = strings.ToValidUTF8(text[:min(len(text), excerptBytesMax)], "\uFFFD")
	runes := []rune(oneline.Text(text))
	if len(runes) == 0 {
		return ""
	}
	return ": " + strconv.QuoteToGraphic(string(runes[:min(len(runes), excerptRunesMax)]))
}

// retryAfter reads the header Retry-After: seconds, or a date. It returns 0 for what is neither, or past.
func retryAfter(header http.Header) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(retryAfterMax/time.Second) {
			return retryAfterMax // it has too many digits
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date")) // by the same clock
	if err != nil {
		now = clock.Now()
	}
	return min(max(at.Sub(now), 0), retryAfterMax)
}
