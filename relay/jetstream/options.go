package jetstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// Options configures a connection. The zero value is ready to use for servers that ask for no credentials, or whose URL
// has a user and a password.
type Options struct {
	CredentialsFile string // a .creds file, read again at each connection
	NKeyFile        string // a file with the seed of an NKey, read again at each connection
	Token           string
	User, Password  string
	CAFile          string // PEM certificates that sign those of the servers. Defaults to those of the system
	// CertFile and KeyFile are PEM files with the client's certificate and its key.
	CertFile, KeyFile string
	// Timeout is how long the acknowledgement of a message may take, with the time to connect again. Defaults to 10
	// seconds: the replicas of a stream take up to that to choose a leader.
	Timeout time.Duration
	// Source is that of the CloudEvents of a [Sink]. Defaults to one for each projection, see package cloudevents.
	Source string
	// Logger receives what happens. Defaults to none.
	Logger zerolog.Logger
}

const defaultTimeout = 10 * time.Second

// fileBytesMax bounds files of credentials and certificates.
const fileBytesMax = 1 << 20

// settings returns the options of NATS.
//
// # Errors
//
// A file that cannot be read or has something else, and options that exclude each other.
func (o *Options) settings() ([]nats.Option, error) {
	ways := 0
	for _, given := range []bool{o.CredentialsFile != "", o.NKeyFile != "", o.Token != "", o.User != "" || o.Password != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("give NATS one of a credentials file, an NKey, a token, and a user with a password")
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("the timeout of NATS must not be negative, it is %s", o.Timeout)
	}
	var set []nats.Option
	switch {
	case o.CredentialsFile != "":
		if err := checkCredentials(o.CredentialsFile); err != nil {
			return nil, err
		}
		set = append(set, nats.UserCredentials(o.CredentialsFile))
	case o.NKeyFile != "":
		if _, err := readFile(o.NKeyFile); err != nil {
			return nil, err
		}
		option, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s has no seed of a user's NKey", o.NKeyFile)
		}
		set = append(set, option)
	case o.Token != "":
		set = append(set, nats.Token(o.Token))
	case o.User != "" || o.Password != "":
		set = append(set, nats.UserInfo(o.User, o.Password))
	}
	certificates, err := o.certificates()
	return append(set, certificates...), err
}

// certificates returns the options for TLS.
func (o *Options) certificates() (set []nats.Option, err error) {
	if o.CAFile != "" {
		text, err := readFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no PEM certificate", o.CAFile)
		}
		set = append(set, nats.RootCAs(o.CAFile))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client's certificate for NATS needs its key, and a key its certificate")
	}
	if o.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err != nil {
			return nil, fmt.Errorf("%s and %s are no certificate with its key: %w", o.CertFile, o.KeyFile, err)
		}
		set = append(set, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	return set, nil
}

func checkCredentials(file string) error {
	text, err := readFile(file)
	if err != nil {
		return err
	}
	_, fault := nkeys.ParseDecoratedJWT(text)
	if fault == nil {
		var keys nkeys.KeyPair
		if keys, fault = nkeys.ParseDecoratedUserNKey(text); fault == nil {
			keys.Wipe()
		}
	}
	if fault != nil { // it may quote the file
		return fmt.Errorf("%s has no credentials of NATS: a user's JWT and the seed of an NKey", file)
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a file for NATS: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("reading a file for NATS: %w", err)
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%s has more than %d bytes: it is no file for NATS", path, fileBytesMax)
	}
	return text, nil
}

// servers are the URLs of one cluster.
type servers struct {
	urls    string   // for NATS, with what they have of credentials
	shown   string   // without
	secrets []string // what must not be shown
}

const urlForm = "use nats://HOST:PORT or tls://HOST:PORT, several with commas between them"

// parseServers reads the URLs. Its errors do not show them.
func parseServers(text string) (servers, error) {
	var s servers
	var all, shown []string
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			return s, errors.New("the URL of NATS has no scheme: " + urlForm)
		}
		at, err := url.Parse(one)
		if err != nil {
			return s, errors.New("the URL of NATS cannot be read: " + urlForm)
		}
		if err := checkServer(at); err != nil {
			return s, err
		}
		if password, has := at.User.Password(); has {
			s.secrets = append(s.secrets, password)
		} else if at.User != nil {
			s.secrets = append(s.secrets, at.User.Username()) // a token
		}
		all = append(all, one)
		shown = append(shown, at.Scheme+"://"+at.Host)
	}
	s.urls, s.shown = strings.Join(all, ","), strings.Join(shown, ",")
	return s, nil
}

func checkServer(at *url.URL) error {
	switch at.Scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return fmt.Errorf("the URL of NATS has the scheme %.20q: %s", at.Scheme, urlForm)
	}
	switch port := at.Port(); {
	case at.Hostname() == "":
		return errors.New("the URL of NATS has no host: " + urlForm)
	case at.Path != "" && at.Path != "/" || at.RawQuery != "" || at.Fragment != "":
		return errors.New("the URL of NATS has more than a host and a port: " + urlForm)
	case port != "":
		if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
			return errors.New("the URL of NATS has no port from 1 to 65535: " + urlForm)
		}
	}
	return nil
}

// Shown returns URLs of NATS without what they have of credentials, and reports whether they are such URLs.
func Shown(urls string) (shown string, valid bool) {
	s, err := parseServers(urls)
	return s.shown, err == nil
}
