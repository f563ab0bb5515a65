package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// binary returns the compiled program: these tests kill it, which a command run within the test process would
// not survive.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		folder, err := os.MkdirTemp("", "pupwasm-bin-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(folder, "pupwasm")
		out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput()
		if err != nil {
			built.err = errors.New(err.Error() + ": " + string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

var built struct {
	once sync.Once
	path string
	err  error
}

// process is a running pupwasm.
type process struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	exited chan struct{}
	err    error
}

// start runs the program in the background, on a database. It is killed when the test ends.
func start(t *testing.T, database string, args ...string) *process {
	t.Helper()
	return startWith(t, database, nil, args...)
}

// startWith is start with a standard input, which is nothing where it is nil.
func startWith(t *testing.T, database string, in *os.File, args ...string) *process {
	t.Helper()
	return startBetween(t, database, in, nil, args...)
}

// startBetween is startWith with a standard output, which is among the output of the process where it is nil.
func startBetween(t *testing.T, database string, in, out *os.File, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary(t), args...), output: &lockedBuffer{}, exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "PUPWASM_DATABASE_URL="+database, "PUPWASM_LOG_FORMAT=json",
		"XDG_CACHE_HOME="+cacheDir(t), "PATH="+pathWithTinyGo())
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if in != nil {
		p.cmd.Stdin = in
	}
	if out != nil {
		p.cmd.Stdout = out
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.exited
	})
	return p
}

// pathWithTinyGo is PATH and where TinyGo is, which is found without the cache folder of the user.
func pathWithTinyGo() string {
	path := os.Getenv("PATH")
	if tinygo, err := build.FindTinyGo(); err == nil {
		path += string(filepath.ListSeparator) + filepath.Dir(tinygo)
	}
	return path
}

// cacheDir keeps compiled modules for all processes of the tests.
func cacheDir(t *testing.T) string { return filepath.Join(filepath.Dir(binary(t)), "cache") }

func (p *process) signal(signal syscall.Signal) { _ = p.cmd.Process.Signal(signal) }

// wait returns the exit code, -1 after a signal that was not caught.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(testwait.Patience):
		t.Fatalf("the process does not end: %s", p.output)
		return 0
	}
}

// runCommand runs the program to its end and fails the test unless it exits with 0.
func runCommand(t *testing.T, database string, args ...string) string {
	t.Helper()
	p := start(t, database, args...)
	if code := p.wait(t); code != 0 {
		t.Fatalf("%v exits with %d: %s", args, code, p.output)
	}
	return p.output.String()
}

// lockedBuffer collects output for concurrent readers.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// modulesFolder makes a folder with compiled examples.
func modulesFolder(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		writeModule(t, folder, name+".wasm", guestbuild.Example(t, guestbuild.Go, name))
	}
	return folder
}

// writeModule puts a module into a folder at once, as a deployment should.
func writeModule(t *testing.T, folder, name string, wasm []byte) {
	t.Helper()
	part := filepath.Join(folder, name+".part")
	if err := os.WriteFile(part, wasm, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// awaitLog waits until the process has written a text.
func (p *process) awaitLog(t *testing.T, text string) {
	t.Helper()
	p.awaitCount(t, text, 1)
}

// awaitCount waits until the process has written a text so many times.
func (p *process) awaitCount(t *testing.T, text string, count int) {
	t.Helper()
	deadline := time.After(testwait.Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for strings.Count(p.output.String(), text) < count {
		select {
		case <-tick.C:
		case <-p.exited:
			t.Fatalf("the process ended before it wrote %q %d times: %s", text, count, p.output)
		case <-deadline:
			t.Fatalf("the process did not write %q %d times: %s", text, count, p.output)
		}
	}
}
