package webhook_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pupwasm/pupwasm/relay/webhook"
)

func TestSink_answers(t *testing.T) {
	t.Parallel()
	for want, codes := range map[string][]int{
		"sent":    {200, 201, 202, 204, 299},
		"refused": {400, 406, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 423, 424, 428, 431, 451, 499},
		"again": {
			300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 407, 408, 409, 421, 425, 426, 429, 500, 501, 502, 503, 504,
			599, 600, 999,
		},
	} {
		for _, code := range codes {
			t.Run(fmt.Sprint(code), func(t *testing.T) {
				t.Parallel()
				err := send(t, open(t, serve(t, answer(code)).URL+secretPath, secrets()))
				if kind(err) != want {
					t.Errorf("%d: it is %s, want %s", code, kind(err), want)
				}
				if want != "sent" {
					check(t, err, fmt.Sprintf("answers %d", code))
				}
			})
		}
	}
}

func TestSink_retryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, test := range []struct {
		code        int
		after, want string
	}{
		{503, "120", "after 2m0s"},
		{429, " 7 ", "after 7s"},
		{408, "1", "after 1s"},
		{425, "1", "after 1s"},
		{500, "3601", "after 1h0m0s"},
		{503, strings.Repeat("9", 400), "after 1h0m0s"},
		{503, "9223372036", "after 1h0m0s"},
		{403, "60", "after 1m0s"},
		{503, "0", "again"},
		{503, "-5", "again"},
		{503, "+5", "again"},
		{503, "1.5", "again"},
		{503, "1e3", "again"},
		{503, "soon", "again"},
		{503, "", "again"},
		{503, now.Add(90 * time.Second).Format(http.TimeFormat), "after 1m30s"},
		{503, now.Add(90 * time.Second).Format(time.ANSIC), "after 1m30s"},
		{429, now.Add(-time.Second).Format(http.TimeFormat), "again"},
		{429, "Fri, 31 Dec 9999 23:59:59 GMT", "after 1h0m0s"},
		{422, "120", "refused"},
		{200, "120", "sent"},
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.Header().Set("Retry-After", test.after)
			w.WriteHeader(test.code)
		})
		if err := send(t, open(t, server.URL, webhook.Options{})); kind(err) != test.want {
			t.Errorf("%d, %.60q: it is %s, want %s", test.code, test.after, kind(err), test.want)
		}
	}
}

// TestSink_dateWithoutDate goes by the clock of this machine.
func TestSink_dateWithoutDate(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Retry-After", time.Now().UTC().Add(100*time.Hour).Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if err := send(t, open(t, server.URL, webhook.Options{})); kind(err) != "after 1h0m0s" {
		t.Errorf("it is %s", kind(err))
	}
}

// TestSink_answerIsToldWithoutSecrets has servers repeat what they got.
func TestSink_answerIsToldWithoutSecrets(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"reason":     "amount: must be\n\tless \"than\" 5\x1b[2J\u202e",
		"path":       `{"path":"/hooks/hidden-path","q":"hidden/query hidden-query hidden%2Fquery","url":"\/hooks\/hidden-path"}`,
		"token":      "no such token: Bearer hidden-token, Basic hidden-header",
		"cut off":    strings.Repeat(" ", 1020) + "hidden-token",
		"far behind": strings.Repeat("é", 100_000),
		"bytes":      "\xff\xfe\x00",
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, answer)
		})
		err := send(t, open(t, server.URL+secretPath, secrets()))
		if check(t, err, "answers 422: \""); utf8.RuneCountInString(err.Error()) > 260 {
			t.Errorf("got %v", err)
		}
		if name == "reason" && !strings.Contains(err.Error(), `"amount: must be less \"than\" 5 [2J\u202e"`) {
			t.Errorf("got %v", err)
		}
	}
}

// TestSink_answerHasASecret has servers repeat secrets in other forms.
func TestSink_answerHasASecret(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte("hid?/>den" + strings.Repeat("\xff", 22))) // it has / and =
	options := webhook.Options{Secret: secretOf("a") + " whsec_" + encoded, Token: "Hidden-Token"}
	for _, answer := range []string{
		"whsec_" + encoded, encoded, strings.TrimRight(encoded, "="), strings.ToLower(encoded),
		strings.ReplaceAll(encoded, "/", `\/`), "HIDDEN-TOKEN", "hidden-token", secretOf("a")[6:],
	} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, "<"+answer+">")
		})
		err := send(t, open(t, server.URL, options))
		if check(t, err, `answers 422: "<***`); len(err.Error()) > len(server.URL)+len(` answers 422: "<***==>"`) {
			t.Errorf("%s: got %v", answer, err)
		}
	}
}

// TestSink_hostileAnswers take neither time nor memory.
func TestSink_hostileAnswers(t *testing.T) {
	t.Parallel()
	endless := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}
	}
	slow := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}
	}
	for name, test := range map[string]struct {
		handler    http.HandlerFunc
		kind, want string
	}{
		"endless, sent":    {endless(200), "sent", ""},
		"endless, refused": {endless(400), "refused", "answers 400"},
		"slow, sent":       {slow(200), "sent", ""},
		"slow, failed":     {slow(500), "again", "answers 500: \"a\""},
		"headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("a", 1000))
			}
		}, "again", "exceeded"},
		"header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", strings.Repeat("a", 1<<20))
		}, "again", "exceeded"},
		"broken":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "again", "EOF"},
		"no HTTP": {raw("hidden-token\r\nhidden-path" + strings.Repeat("a", 10_000) + "\r\n\r\n"), "again", "malformed"},
		"upgrade": {raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"), "again", "answers 101"},
		"hints":   {raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", 100_000)), "again", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := secrets()
			options.Timeout = time.Hour // it is not what ends them
			err := send(t, open(t, serve(t, test.handler).URL+secretPath, options))
			if kind(err) != test.kind {
				t.Errorf("it is %s, want %s", kind(err), test.kind)
			}
			if err != nil {
				check(t, err, test.want)
			}
		})
	}
}

// raw answers with bytes, and waits until the client has gone.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var connection net.Conn
		var buffer *bufio.ReadWriter
		connection, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = buffer.WriteString(text)
		_ = buffer.Flush()
		_, _ = io.Copy(io.Discard, connection)
	}
}
