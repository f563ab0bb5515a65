package webhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/relay/webhook"
)

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url     string
		options webhook.Options
		want    string
	}{
		{"", webhook.Options{}, "must be a URL"},
		{"hidden", webhook.Options{}, "must be a URL"},
		{"ftp://hidden.example/", webhook.Options{}, "must be a URL"},
		{"http:hidden", webhook.Options{}, "must be a URL"},
		{"http:///hidden", webhook.Options{}, "must be a URL"},
		{"http://:80/hidden", webhook.Options{}, "must be a URL"},
		{"http://a:hidden/", webhook.Options{}, "must be a URL"},
		{"http://a:0/hidden", webhook.Options{}, "no port from 1 to 65535"},
		{"https://a:65536/hidden", webhook.Options{}, "no port from 1 to 65535"},
		{"http://a/hidden\n", webhook.Options{}, "must be a URL"},
		{"http://a/" + strings.Repeat("hidden", 1000), webhook.Options{}, "must be a URL"},
		{"http://user:hidden@a/", webhook.Options{}, "leave it out, and set a token"},
		{"http://a/#hidden", webhook.Options{}, "leave it out"},
		{"http://a/#", webhook.Options{}, "leave it out"},
		{"", webhook.Options{Mode: "batch"}, "must be a URL"},
		{"http://a", webhook.Options{Mode: "batch"}, `mode "batch" must be`},
		{"http://a", webhook.Options{Timeout: -1}, "timeout"},
		{"http://a", webhook.Options{Concurrency: -1}, "concurrency"},
		{"http://a", webhook.Options{Concurrency: 1001}, "concurrency"},
		{"http://a", webhook.Options{Source: "a b"}, "the source of CloudEvents"},
		{"http://a", webhook.Options{Token: "hidden\r\nX: 1"}, "token"},
		{"http://a", webhook.Options{Token: "hidden a"}, "token"},
		{"http://a", webhook.Options{Secret: "hidden"}, "openssl"},
		{"http://a", webhook.Options{Secret: "whsec_c2VjcmV0"}, "openssl"},
		{"http://a", webhook.Options{Secret: secretOf("a")[6:]}, "openssl"},
		{"http://a", webhook.Options{Secret: secretOf("a") + "\nhidden"}, "openssl"},
		{"http://a", webhook.Options{Secret: "  "}, "1 to 8 secrets"},
		{"http://a", webhook.Options{Secret: strings.Repeat(secretOf("a")+" ", 9)}, "1 to 8"},
		{"http://a", webhook.Options{Headers: http.Header{"A b": nil}}, "is not the name of a header"},
		{"http://a", webhook.Options{Headers: http.Header{"X": {"hidden\r\nY: 1"}}}, "header X:"},
		{"http://a", webhook.Options{Headers: http.Header{"content-length": {"1"}}}, "header Content-Length: is not for you"},
		{"http://a", webhook.Options{Headers: http.Header{"host": {"hidden"}}}, "header Host: is not for you"},
		{"http://a", webhook.Options{Headers: http.Header{"ce-id": {"1"}}}, "header Ce-Id: is not for you"},
		{"http://a", webhook.Options{Headers: http.Header{"webhook-id": {"1"}}}, "header Webhook-Id: is not for you"},
		{"http://a", webhook.Options{Token: "a", Headers: http.Header{"authorization": {"hidden"}}}, "only one of them"},
		{"http://a", webhook.Options{CAFile: "/nowhere"}, "/nowhere: "},
		{"http://a", webhook.Options{CAFile: file}, "has no certificate in PEM"},
		{"http://a", webhook.Options{CertFile: file}, "given together"},
		{"http://a", webhook.Options{CertFile: file, KeyFile: file}, "failed to find any PEM data"},
		{"http://a", webhook.Options{CertFile: file, KeyFile: filepath.Dir(file)}, "is a folder"},
	} {
		sink, err := webhook.Open(test.url, test.options)
		if err == nil {
			_ = sink.Close()
		}
		check(t, err, test.want)
	}
}

func writePEM(t *testing.T, path, kind string, bytes []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// caFile returns a file with the certificate of a server, which has signed itself.
func caFile(t *testing.T, server *receiver) string {
	t.Helper()
	return writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", server.Certificate().Raw)
}

// certificate makes one for a client, in files that may be there already.
func certificate(t *testing.T, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", raw)
	writePEM(t, keyFile, "PRIVATE KEY", secret)
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestTLS has a server that asks for a certificate. The client's is replaced while the sink is open.
func TestTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	first := certificate(t, certFile, keyFile)
	server := unstarted(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	authority := caFile(t, server)

	check(t, send(t, open(t, server.URL+secretPath, webhook.Options{})), "certificate signed by unknown authority")
	// A client without a certificate is refused; what it is told depends on who closes the connection first.
	check(t, send(t, open(t, server.URL+secretPath, webhook.Options{CAFile: authority})), "")

	sink := open(t, server.URL, webhook.Options{CAFile: authority, CertFile: certFile, KeyFile: keyFile})
	if err := send(t, sink); err != nil {
		t.Fatal(err)
	}
	second := certificate(t, certFile, keyFile)
	_ = sink.Close() // of the connections that are there
	if err := send(t, sink); err != nil {
		t.Fatal(err)
	}
	for i, want := range []*x509.Certificate{first, second} {
		if got := server.all()[i]; got.ProtoMajor != 2 || !got.TLS.PeerCertificates[0].Equal(want) {
			t.Errorf("request %d: HTTP/%d, another certificate", i, got.ProtoMajor)
		}
	}
}
