package webhook_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/relay/webhook"
)

func redirect(code int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	}
}

// TestRedirect_onTheHost gets everything again, without where it came from.
func TestRedirect_onTheHost(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hooks/hidden-path" {
				redirect(code, "/two")(w, r)
			}
		})
		options := secrets()
		options.Secret = secretOf("a")
		if err := send(t, open(t, server.URL+secretPath, options)); err != nil {
			t.Fatal(err)
		}
		first, second := server.all()[0], server.all()[1]
		if second.Method != http.MethodPost || second.URL.Path != "/two" || second.body != first.body ||
			second.Header.Get("Authorization") != "Bearer hidden-token" || second.Header.Get("Referer") != "" ||
			second.Header.Get("Webhook-Signature") != first.Header.Get("Webhook-Signature") {
			t.Errorf("%d: got %s %s %v", code, second.Method, second.URL, second.Header)
		}
	}
}

func TestRedirect_othersAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{300, 301, 302, 303, 304, 305} {
		server := serve(t, redirect(code, "/two"))
		err := send(t, open(t, server.URL+secretPath, secrets()))
		if check(t, err, "only redirects by 307 and 308"); len(server.all()) != 1 || kind(err) != "again" {
			t.Errorf("%d: got %d requests, %v", code, len(server.all()), err)
		}
	}
}

// TestRedirect_elsewhere is not followed to addresses of this machine and its networks.
func TestRedirect_elsewhere(t *testing.T) {
	t.Parallel()
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") })
	port := other.URL[strings.LastIndex(other.URL, ":"):]
	for _, host := range []string{
		"127.0.0.1", "127.9.9.9", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
		"[64:ff9b::7f00:1]", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "10.0.0.1", "172.31.0.1", "192.168.0.1", "100.100.100.200",
		"224.0.0.1", "255.255.255.255", "[ff02::1]", "192.0.0.192", "[2002:7f00:1::]",
	} {
		server := serve(t, redirect(http.StatusTemporaryRedirect, "http://"+host+port+"/hidden"))
		err := send(t, open(t, server.URL+secretPath, webhook.Options{}))
		if check(t, err, "prohibited IP address"); kind(err) != "again" {
			t.Errorf("%s: it is %s", host, kind(err))
		}
	}
}

// TestRedirect_elsewhereWhereAllowed has the message only.
func TestRedirect_elsewhereWhereAllowed(t *testing.T) {
	t.Parallel()
	other := serve(t, answer(http.StatusConflict))
	server := serve(t, redirect(http.StatusTemporaryRedirect, other.URL+"/two"))
	err := send(t, open(t, server.URL+secretPath, webhook.Options{AllowPrivateRedirects: true}))
	check(t, err, strings.TrimPrefix(other.URL, "http://")+", to which "+strings.TrimPrefix(server.URL, "http://")+
		" redirects, answers 409")
	got := other.all()
	if len(got) != 1 || got[0].body != server.all()[0].body || got[0].Header.Get("Referer") != "" ||
		got[0].Header.Get("Idempotency-Key") != "shop.v1.120.0" {
		t.Errorf("got %v", got)
	}
}

// TestRedirect_credentialsStay has nothing sent to another host or port by a sink that has anything secret.
func TestRedirect_credentialsStay(t *testing.T) {
	t.Parallel()
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") })
	server := serve(t, redirect(http.StatusTemporaryRedirect, other.URL))
	for _, options := range []webhook.Options{
		{Token: "hidden-token"}, {Secret: secretOf("a")}, {Headers: http.Header{"X-Key": {"hidden"}}},
	} {
		options.AllowPrivateRedirects = true
		err := send(t, open(t, server.URL+secretPath, options))
		check(t, err, "does not get")
	}
}

func TestRedirect_refused(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"ftp://127.0.0.1/":                     `redirects from http to "ftp"`,
		"file:///etc/passwd":                   `redirects from http to "file"`,
		"javascript:alert(1)":                  `redirects from http to "javascript"`,
		"/hooks/hidden-path":                   "redirects more than 3 times",
		"http://hidden@127.0.0.1:1/":           "a URL with a user",
		"http://[::1/hidden-path":              "Location",
		"http://" + strings.Repeat("a", 20000): "",
		"":                                     "only redirects by 307 and 308 with a Location",
	} {
		server := serve(t, redirect(http.StatusTemporaryRedirect, to))
		err := send(t, open(t, server.URL+secretPath, webhook.Options{AllowPrivateRedirects: true}))
		if check(t, err, want); kind(err) != "again" {
			t.Errorf("%s: it is %s", to, kind(err))
		}
		if n := len(server.all()); n != 1 && (to != "/hooks/hidden-path" || n != 4) {
			t.Errorf("%s: got %d requests", to, n)
		}
	}
}

func TestRedirect_neverFromHTTPS(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") })
	server := unstarted(t, redirect(http.StatusTemporaryRedirect, plain.URL))
	server.StartTLS()
	err := send(t, open(t, server.URL+secretPath, webhook.Options{CAFile: caFile(t, server), AllowPrivateRedirects: true}))
	check(t, err, `redirects from https to "http"`)
}

func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/redirect":
			redirect(http.StatusTemporaryRedirect, "http://elsewhere.example/")(w, r)
		case r.URL.Path == "/upgrade":
			redirect(http.StatusTemporaryRedirect, "https://shop.example/")(w, r)
		case r.URL.Path == "/port":
			redirect(http.StatusTemporaryRedirect, "https://shop.example:8443/")(w, r)
		}
	})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	by := func(*http.Request) (*url.URL, error) { return at, nil }
	through := func(path string, options webhook.Options) error {
		t.Helper()
		sink, err := webhook.OpenByProxy("http://shop.example"+path, options, by)
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		return send(t, sink)
	}
	if err := through("/", webhook.Options{}); err != nil || proxy.all()[0].Host != "shop.example" {
		t.Errorf("got %v, %v", proxy.all(), err)
	}
	check(t, through("/redirect", webhook.Options{}), "behind a proxy")
	check(t, through("/upgrade", webhook.Options{Token: "hidden"}), "Bad Gateway") // of CONNECT
	if got := proxy.all(); got[len(got)-1].Host != "shop.example:443" {
		t.Errorf("the last request is %v", got[len(got)-1])
	}
	check(t, through("/port", webhook.Options{Token: "hidden"}), "does not get")
	if err := through("/redirect", webhook.Options{AllowPrivateRedirects: true}); err != nil {
		t.Error(err)
	}
	by = func(*http.Request) (*url.URL, error) { return nil, errors.New("invalid proxy http://a:hidden@b") }
	check(t, through("/", webhook.Options{}), "the proxy that the environment names is no URL")
}
