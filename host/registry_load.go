package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// load is a module that is being loaded.
type load struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when one of the following is set
	module *Module
	err    error
}

// unreadable is the load of a file that cannot be read.
func unreadable(file string, err error) *load {
	reason := fmt.Sprintf("cannot be read: %v", err)
	var distrust *TrustError
	if errors.As(err, &distrust) {
		reason = distrust.Reason
	}
	ended := make(chan struct{})
	close(ended)
	return &load{cancel: func() {}, done: ended, err: &LoadError{File: file, Reason: reason}}
}

// errChanged ends the load of a file that was removed or changed meanwhile. It is checked again at once.
var errChanged = errors.New("has changed since it was found")

// load loads a file in the background. It is read again when it is its turn.
func (r *Registry) load(ctx context.Context, from *moduleSource) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, done: make(chan struct{})}
	from.read = func() ([]byte, error) {
		wasm, err := r.runtime.ReadModule(filepath.Join(r.folder, from.file))
		if err == nil && sha256.Sum256(wasm) != from.hash || errors.Is(err, fs.ErrNotExist) {
			err = errChanged
		}
		return wasm, err
	}
	r.loads.Go(func() {
		defer cancel()
		if l.module, l.err = r.runtime.load(ctx, from); l.err == nil {
			l.module.read = from.read
		}
		close(l.done)
		select {
		case r.arrived <- struct{}{}:
		default:
		}
	})
	return l
}

// cancelLoad ends a load whose result is no longer needed.
func (r *Registry) cancelLoad(known *moduleFile) {
	if known.load == nil {
		return
	}
	unwanted := known.load
	known.load = nil
	unwanted.cancel()
	r.loads.Go(func() {
		<-unwanted.done
		if unwanted.module != nil {
			unwanted.module.Close(context.Background())
		}
	})
}
