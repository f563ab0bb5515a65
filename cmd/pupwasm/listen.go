package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/web"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/segments"
)

// listenOptions say where a host serves metrics, probes and its API.
type listenOptions struct {
	address   string
	tokenFile string
}

func (o *listenOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.address, "listen", "",
		"serve metrics, probes and a JSON API over HTTP at this `address`, such as localhost:9464 or :9464 "+
			"(see docs/api.md)")
	flags.StringVar(&o.tokenFile, "listen-token-file", "",
		"`file` with the token that the API needs; without one it has no actions and answers this machine only")
}

const (
	tokenBytesMin = 16
	tokenBytesMax = 4096
)

// token reads the token, or "" where there is none.
func (o *listenOptions) token() (string, error) {
	if o.tokenFile == "" {
		return "", nil
	}
	if o.address == "" {
		return "", usagef("--listen-token-file needs --listen")
	}
	info, err := os.Stat(o.tokenFile)
	if err == nil && info.Size() > tokenBytesMax {
		return "", usagef("--listen-token-file: %s must have at most %d bytes", o.tokenFile, tokenBytesMax)
	}
	text, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return "", usagef("--listen-token-file: %s: %v", o.tokenFile, unwrapPath(err))
	}
	token := strings.TrimSpace(string(text))
	if len(token) < tokenBytesMin || strings.ContainsFunc(token, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	}) {
		return "", usagef("--listen-token-file: %s must have one word of at least %d ASCII characters, as 'openssl rand -hex 32' "+
			"makes it", o.tokenFile, tokenBytesMin)
	}
	return token, nil
}

// server serves a host. Until it is given a handler the host starts. A nil server serves nothing.
type server struct {
	http    http.Server
	handler atomic.Pointer[http.Handler]
	token   string
	log     zerolog.Logger
}

// Bounds of a connection. An answer may take as long as the databases may.
const (
	headerTimeout  = 5 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	headerBytesMax = 16 << 10
	stopTimeout    = 2 * time.Second
)

// start begins to listen, before anything else takes time, or returns nil without an address.
func (o *listenOptions) start(log zerolog.Logger) (*server, error) {
	token, err := o.token()
	if err != nil || o.address == "" {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return nil, usagef("--listen %s: %v", printable(o.address), listenFault(err))
	}
	s := &server{token: token, log: log}
	starting := web.Starting(webBuild())
	s.handler.Store(&starting)
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*s.handler.Load()).ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytesMax,
	}
	log.Info().Stringer("address", listener.Addr()).Bool("actions", token != "").Msg("listening for HTTP")
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("HTTP is no longer served")
		}
	}()
	return s, nil
}

// listenFault is the reason in the words of the system.
func listenFault(err error) error {
	var at *net.OpError
	if errors.As(err, &at) && at.Err != nil {
		return at.Err
	}
	return err
}

// watcher serves a host, and watches it until ctx ends; progress is that of its worker.
type watcher func(ctx context.Context, progress func() []segments.Progress)

// watch has the server told what a worker with these options does, and its relay by the observer that it returns.
func (s *server) watch(to databases, options *segments.Options) (watcher, *relay.Observer) {
	if s == nil {
		return func(context.Context, func() []segments.Progress) {}, nil
	}
	host := web.NewHost(to.log, to.tables, *options, webBuild())
	options.Observer = segments.JoinObservers(options.Observer, host.Observer())
	return func(ctx context.Context, progress func() []segments.Progress) {
		handler := host.Handler(s.token, progress)
		s.handler.Store(&handler)
		host.Run(ctx)
	}, host.RelayObserver()
}

// stop ends the connections. It waits a moment for answers under way.
func (s *server) stop() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Debug().Err(fmt.Errorf("stopping HTTP: %w", err)).Msg("connections are cut")
		_ = s.http.Close()
	}
}

// webBuild is what metrics say of the program.
func webBuild() web.Build {
	build := readBuild()
	return web.Build{Version: build.Version, Revision: build.Revision}
}
