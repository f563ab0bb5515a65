package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/pupwasm/pupwasm/host/compiler"
	"github.com/pupwasm/pupwasm/host/meter"
)

// CompilerMain makes a program its own compiler: modules are then compiled in a child process, which has
// limits of memory and time. It must be called first in the main function. It returns at once, unless the
// program was started to compile.
func CompilerMain() { compiler.Main() }

// inProcessBytesMax bounds the modules that a program compiles by itself, where nothing bounds what they take.
const inProcessBytesMax = 4 << 20

// compiledCode is one compiled module, however many files hold the same bytes: the engine must not compile
// the same bytes while it closes them.
type compiledCode struct {
	wazero.CompiledModule
	bytes      int                // of the module
	metered    *meter.Module      // without its code
	embedded   *[sha256.Size]byte // of the description in the module's section; nil without one
	references int
	done       chan struct{} // closed when there is code, or err
	err        error
}

// compile meters and compiles a module, and returns its code, which the caller releases. Modules are compiled
// side by side. Their bytes are read when it is their turn, so that those that wait take no memory.
func (r *Runtime) compile(
	ctx context.Context, hash [sha256.Size]byte, size int, read func() ([]byte, error),
) (*compiledCode, error) {
	for {
		r.mu.Lock()
		code, known := r.compiled[hash]
		if !known {
			code = &compiledCode{done: make(chan struct{})}
			r.compiled[hash] = code
		}
		code.references++
		r.mu.Unlock()
		if !known {
			code.err = r.make(ctx, code, size, read)
			close(code.done)
		}
		select {
		case <-code.done:
		case <-ctx.Done():
			r.release(ctx, hash, code)
			return nil, ctx.Err()
		}
		if code.err == nil {
			return code, nil
		}
		r.release(ctx, hash, code)
		// Another caller may have given up while this one waited for what it made, or could not read its file.
		var passing *transientError
		if !known || ctx.Err() != nil || !errors.Is(code.err, context.Canceled) && !errors.As(code.err, &passing) {
			return nil, code.err
		}
	}
}

func (r *Runtime) release(ctx context.Context, hash [sha256.Size]byte, code *compiledCode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	code.references--
	if (code.references == 0 || code.err != nil) && r.compiled[hash] == code {
		delete(r.compiled, hash)
	}
	if code.references == 0 && code.CompiledModule != nil {
		_ = code.Close(ctx)
	}
}

// firstTurn is how long a module is compiled before it makes way for others that wait. Each turn after it is
// twice as long: slow modules hold up no others, and finish all the same.
const firstTurn = time.Second

// largeBytes is the size above which modules queue separately, so that small ones do not wait for them.
const largeBytes = 4 << 20

// make compiles one module. Modules are read one at a time, since that takes memory and some hundred
// milliseconds a megabyte, and compiled several at a time, since that may take long.
func (r *Runtime) make(ctx context.Context, code *compiledCode, size int, read func() ([]byte, error)) error {
	reading := r.reading
	if size > largeBytes {
		reading = r.readingLarge
	}
	job := &compilation{runtime: r, code: code, read: read}
	defer job.close()
	var done bool
	err := reading.do(ctx, func() (err error) {
		done, err = job.begin(ctx)
		return err
	})
	for turn := firstTurn; err == nil && !done; turn *= 2 {
		err = r.compiling.do(ctx, func() error { return job.compile(ctx, turn) })
		if done = err == nil; errors.Is(err, compiler.ErrStopped) {
			err = nil
		}
	}
	if err == nil && job.folder != "" {
		err = reading.do(ctx, func() error { return job.end(ctx) })
	}
	return err
}

// transientError is a reason of this machine why a module cannot be compiled now.
type transientError struct{ error }

// Unwrap returns what went wrong on this machine.
func (e *transientError) Unwrap() error { return e.error }

// transient wraps an error of this machine.
func transient(doing string, err error) error {
	return &transientError{fmt.Errorf("%s: %w", doing, err)}
}

// compilation is a module that is being compiled.
type compilation struct {
	runtime *Runtime
	code    *compiledCode
	read    func() ([]byte, error)
	key     string // of the metered module
	folder  string // where a child works, or ""
}

func (c *compilation) close() {
	if c.folder != "" {
		os.RemoveAll(c.folder)
	}
}

// compile has a child compile for one turn. What it makes goes into the cache.
func (c *compilation) compile(ctx context.Context, turn time.Duration) error {
	over, stop := c.runtime.compiling.contendedAfter(turn)
	defer stop()
	product, err := c.runtime.compiler.Compile(ctx, c.folder, over)
	var refusal *compiler.Refusal
	switch {
	case errors.As(err, &refusal), errors.Is(err, compiler.ErrStopped), ctx.Err() != nil && err != nil:
		return err
	case err != nil:
		return transient("compiling the module", err)
	}
	if err := c.runtime.cache.adopt(c.key, product); err != nil {
		return transient("keeping the compiled code", err)
	}
	return nil
}

// end loads what a child has compiled.
func (c *compilation) end(ctx context.Context) error {
	metered, err := compiler.Module(c.folder)
	if err != nil {
		return transient("reading the metered module", err)
	}
	return c.load(ctx, metered)
}

// begin meters the module. It is done when its code is in the cache, or when it is compiled in this process.
func (c *compilation) begin(ctx context.Context) (done bool, err error) {
	r := c.runtime
	wasm, err := c.read()
	if err != nil {
		return false, transient("reading the module", err)
	}
	metered, err := meter.Instrument(wasm)
	if err != nil {
		return false, err
	}
	if c.code.embedded, err = embeddedDigest(wasm); err != nil {
		return false, err
	}
	code := withDigest(metered.Code, sha256.Sum256(wasm))
	metered.Code = nil
	c.code.metered, c.code.bytes = metered, len(wasm)
	sum := sha256.Sum256(code)
	c.key = hex.EncodeToString(sum[:])
	has, damaged := r.cache.has(c.key)
	if has {
		return true, c.load(ctx, code)
	}
	if damaged {
		r.options.Logger.Warn().Str("folder", r.cache.folder).Msg("compiled code in the cache is damaged: the " +
			"module is compiled again")
		r.cache.forget(c.key)
	}
	if r.compiler == nil {
		if len(wasm) > inProcessBytesMax {
			return false, fmt.Errorf("has %d bytes: in a program without a compiler (Options.Compiler) a module "+
				"has %d at most", len(wasm), inProcessBytesMax)
		}
		return true, c.load(ctx, code)
	}
	if c.folder, err = compiler.Prepare(r.cache.folder, code); err != nil {
		return false, transient("preparing to compile", err)
	}
	return false, nil
}

// withDigest appends the digest of a module to its metered code, as a custom section. So modules that differ
// only in what metering drops, such as the maximum of their memory, have cache entries of their own.
func withDigest(code []byte, module [sha256.Size]byte) []byte {
	const custom, name = 0, "pupwasm.module"
	code = append(code, custom, byte(1+len(name)+len(module)), byte(len(name)))
	return append(append(code, name...), module[:]...)
}

// load has the engine take the code from its cache.
func (c *compilation) load(ctx context.Context, metered []byte) error {
	module, err := c.runtime.engine.CompileModule(ctx, metered)
	if err != nil {
		return fmt.Errorf("does not compile: %w", err)
	}
	c.code.CompiledModule = module
	if c.runtime.cache.temporary {
		c.runtime.cache.forget(c.key) // the engine has read it
	}
	return nil
}

// compilationsMax is how many modules are compiled at a time.
func compilationsMax() int { return max(2, runtime.GOMAXPROCS(0)) }
