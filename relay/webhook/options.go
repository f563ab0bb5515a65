package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/net/http/httpguts"

	"github.com/pupwasm/pupwasm/internal/plainfile"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
)

// Mode says what of a CloudEvent is where.
type Mode string

// The modes.
const (
	ModeStructured Mode = "structured" // all of it is the body, as JSON
	ModeBinary     Mode = "binary"     // the data is the body, the rest is in headers
)

// Options configures a sink.
type Options struct {
	Mode   Mode   // Defaults to ModeStructured.
	Source string // of the CloudEvents. Defaults to /pupwasm/<projection>.

	// Secret signs as Standard Webhooks says: whsec_ and 24 to 64 bytes in base64. Several, with blanks between them, sign
	// each, so that receivers can change theirs one by one.
	Secret string
	Token  string // sent as Authorization: Bearer <token>
	// Headers are sent too: none that the sink itself sets.
	Headers http.Header

	// CAFile has certificates in PEM, of which one must have signed the receiver's. Defaults to those of the system.
	CAFile string
	// CertFile and KeyFile have the sink's own certificate and its key in PEM, for receivers that ask for one. They are
	// read again for each connection.
	CertFile, KeyFile string

	Timeout     time.Duration // of a try, up to the end of the answer. Defaults to 10 seconds.
	Concurrency int           // how many messages are on their way at once. Defaults to 16.
	// AllowPrivateRedirects lets receivers redirect to hosts with addresses that are not of the internet, and to any by a
	// proxy, where addresses cannot be checked.
	AllowPrivateRedirects bool
}

const (
	defaultTimeout     = 10 * time.Second
	defaultConcurrency = 16
	concurrencyMax     = 1000
	secretsMax         = 8
	keyBytesMin        = 24
	keyBytesMax        = 64
	secretPrefix       = "whsec_"
	fileBytesMax       = 1 << 20
	// textBytesMax bounds the URL, the token and the value of a header, so that none is cut in two where an answer is.
	textBytesMax = 4 << 10
)

func (o Options) withDefaults() Options {
	if o.Mode == "" {
		o.Mode = ModeStructured
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	return o
}

func (o *Options) validate() error {
	switch {
	case o.Mode != ModeStructured && o.Mode != ModeBinary:
		return fmt.Errorf("mode %.20q must be %q or %q", string(o.Mode), ModeStructured, ModeBinary)
	case o.Timeout < 0:
		return fmt.Errorf("the timeout of a webhook is %s, must be more than 0", o.Timeout)
	case o.Concurrency < 1, o.Concurrency > concurrencyMax:
		return fmt.Errorf("the concurrency of a webhook is %d, must be from 1 to %d", o.Concurrency, concurrencyMax)
	case len(o.Token) > textBytesMax || strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("the token of a webhook must be printable ASCII without blanks, of up to %d bytes", textBytesMax)
	case (o.CertFile == "") != (o.KeyFile == ""):
		return errors.New("a certificate and its key are given together")
	}
	if err := o.validateHeaders(); err != nil {
		return err
	}
	return cloudevents.CheckSource(o.Source)
}

// ownHeaders are those that the sink or HTTP itself sets.
var ownHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Expect": true, "Host": true,
	"Idempotency-Key": true, "Keep-Alive": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Referer": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func (o *Options) validateHeaders() error {
	for name, values := range o.Headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("header %.60q: is not the name of a header", name)
		case ownHeaders[canonical], strings.HasPrefix(canonical, "Ce-"), strings.HasPrefix(canonical, "Webhook-"):
			return fmt.Errorf("header %s: is not for you to set", canonical)
		case canonical == "Authorization" && o.Token != "":
			return errors.New("header Authorization: the token is sent in it; give only one of them")
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) || len(value) > textBytesMax {
				return fmt.Errorf("header %s: its value has control characters, or more than %d bytes", canonical, textBytesMax)
			}
		}
	}
	return nil
}

// parseURL reads the URL of a receiver. Errors do not repeat it: it may have secrets.
func parseURL(text string) (*url.URL, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil, len(text) > textBytesMax, at.Scheme != "http" && at.Scheme != "https", at.Hostname() == "":
		return nil, fmt.Errorf("a webhook must be a URL with http:// or https:// and a host, of up to %d bytes", textBytesMax)
	case !isPort(at.Port()):
		return nil, errors.New("the URL of a webhook has no port from 1 to 65535")
	case at.User != nil:
		return nil, errors.New("the URL of a webhook has a user: leave it out, and set a token or the header Authorization")
	case at.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New("the URL of a webhook has a #, what is behind it is never sent: leave it out")
	}
	return at, nil
}

// isPort reports that a port can be connected to. "" is that of the scheme.
func isPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}

// signers returns one for each secret.
func (o *Options) signers() (signers []*standardwebhooks.Webhook, err error) {
	secrets := strings.Fields(o.Secret)
	if len(secrets) > secretsMax || o.Secret != "" && len(secrets) == 0 {
		return nil, fmt.Errorf("a webhook has 1 to %d secrets", secretsMax)
	}
	for _, secret := range secrets {
		encoded, found := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !found || err != nil || len(key) < keyBytesMin || len(key) > keyBytesMax {
			return nil, fmt.Errorf("a secret of a webhook must be %s and %d to %d bytes in base64, as made by: "+
				"echo %s$(openssl rand -base64 32)", secretPrefix, keyBytesMin, keyBytesMax, secretPrefix)
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, errors.New("a secret of a webhook cannot be used")
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

// tls returns how the sink connects, nil for the defaults.
func (o *Options) tls() (*tls.Config, error) {
	if o.CAFile == "" && o.CertFile == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		text, err := readFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: has no certificate in PEM", o.CAFile)
		}
	}
	if o.CertFile == "" {
		return config, nil
	}
	certFile, keyFile := o.CertFile, o.KeyFile
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return readCertificate(certFile, keyFile)
	}
	_, err := readCertificate(certFile, keyFile)
	return config, err
}

func readCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	certificate, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	return &pair, nil
}

func readFile(path string) ([]byte, error) {
	text, err := plainfile.Read(path, fileBytesMax)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}
