// Package alert tells an HTTP server or a program of something: a short text in JSON. Each try is bounded by its
// context; who calls tries again.
package alert

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"strings"
)

// Message is what is told.
type Message struct {
	JSON []byte
	Env  []string // the same for a program, as NAME=VALUE
}

// Target is told.
type Target interface {
	// Tell reports an error, in one line and without what may be secret in the target, unless the message arrived.
	Tell(ctx context.Context, message Message) error
}

// To returns the target that a text names: a URL with http or https, or the path of a program or its name on PATH.
// Errors say what the text must be, and do not repeat it: it may have a password.
func To(text string) (Target, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	if isURL {
		at, err := url.Parse(text)
		if err != nil || at.Host == "" || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return nil, errors.New("must be a URL with http:// or https:// and a host, or a program")
		}
		return newServer(at), nil
	}
	path, err := exec.LookPath(text)
	if err != nil {
		return nil, errors.New("must be a URL with http:// or https://, or a program that exists and may be run; " +
			"it is given no arguments")
	}
	return &program{path: path}, nil
}
