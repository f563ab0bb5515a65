package jetstream_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/pupwasm/pupwasm/relay/jetstream"
)

// TestOpen_saysWhatIsWrong gives it URLs and files that cannot be used: the error says so in a line, without a secret.
func TestOpen_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "s3cret"
	text := file("text", secret)
	for name, of := range map[string]struct {
		url     string
		options jetstream.Options
		want    string
	}{
		"nothing":                   {"", jetstream.Options{}, "has no scheme"},
		"no scheme":                 {"u:" + secret + "@host:4222", jetstream.Options{}, "has no scheme"},
		"another scheme":            {"https://" + secret + "@host", jetstream.Options{}, `the scheme "https"`},
		"no port":                   {"nats://u:" + secret + "@host:x" + secret, jetstream.Options{}, "cannot be read"},
		"a port that is none":       {"nats://u:" + secret + "@host:70000", jetstream.Options{}, "no port from 1 to 65535"},
		"no host":                   {"nats://u:" + secret + "@:4222", jetstream.Options{}, "no host"},
		"a path":                    {"nats://u:" + secret + "@host/" + secret, jetstream.Options{}, "more than a host"},
		"a query":                   {"nats://host?p=" + secret, jetstream.Options{}, "more than a host"},
		"a break":                   {"nats://u:" + secret + "\n@host", jetstream.Options{}, "cannot be read"},
		"the second of two":         {"nats://host,nats2://u:" + secret + "@host", jetstream.Options{}, `the scheme "nats2"`},
		"no file":                   {"nats://host", jetstream.Options{CredentialsFile: filepath.Join(folder, "none")}, "no such file"},
		"no credentials":            {"nats://host", jetstream.Options{CredentialsFile: text}, "no credentials"},
		"no key":                    {"nats://host", jetstream.Options{NKeyFile: text}, "no seed"},
		"the key of an account":     {"nats://host", jetstream.Options{NKeyFile: file("account", string(seed))}, "no seed"},
		"no certificates":           {"nats://host", jetstream.Options{CAFile: text}, "no PEM certificate"},
		"a file without end":        {"nats://host", jetstream.Options{CAFile: "/dev/zero"}, "it is no file for NATS"},
		"a certificate without key": {"nats://host", jetstream.Options{CertFile: text}, "needs its key"},
		"no certificate":            {"nats://host", jetstream.Options{CertFile: text, KeyFile: text}, "no certificate with its key"},
		"two ways to say who":       {"nats://host", jetstream.Options{Token: secret, User: "u"}, "give NATS one of"},
		"a timeout below zero":      {"nats://host", jetstream.Options{Timeout: -1}, "must not be negative"},
		"a source that is none":     {"nats://host", jetstream.Options{Source: "a b"}, "source of CloudEvents"},
	} {
		_, err := jetstream.Open(t.Context(), of.url, of.options)
		if err == nil || !strings.Contains(err.Error(), of.want) || strings.Contains(err.Error(), secret) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is %q, must have %q, and no secret", name, err, of.want)
		}
	}
}

func TestShown_leavesCredentialsOut(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"nats://host":                            "nats://host",
		"nats://u:p@host:1, tls://token@[::1]:2": "nats://host:1,tls://[::1]:2",
	} {
		if shown, valid := jetstream.Shown(urls); shown != want || !valid {
			t.Errorf("%q is shown as %q (%v), must be %q", urls, shown, valid, want)
		}
	}
	if shown, valid := jetstream.Shown("nats://u:p@ho st"); shown != "" || valid {
		t.Errorf("what is no URL is shown as %q", shown)
	}
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
