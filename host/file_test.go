//go:build unix

package host_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRegistry_takesRegularFilesOnly has all that a folder may have beside modules. None of it is waited for
// or read, and a module beside it runs.
func TestRegistry_takesRegularFilesOnly(t *testing.T) {
	t.Parallel()
	registry, folder := newRegistry(t)
	in := func(name string) string { return filepath.Join(folder, name) }
	outside := t.TempDir()
	write(t, in("good.wasm"), guestbuild.Example(t, guestbuild.Auto, "user_counter"))
	must(t, os.Mkdir(in("folder.wasm"), 0o755))
	must(t, syscall.Mkfifo(in("pipe.wasm"), 0o600))
	must(t, os.Symlink("/dev/zero", in("device.wasm")))
	must(t, os.Symlink(in("pipe.wasm"), in("to_pipe.wasm")))
	must(t, os.Symlink(in("loop.wasm"), in("loop.wasm")))
	must(t, os.Symlink(filepath.Join(outside, "nothing"), in("dangling.wasm")))
	listener, err := net.Listen("unix", filepath.Join(outside, "s"))
	must(t, err)
	defer listener.Close()
	must(t, os.Symlink(filepath.Join(outside, "s"), in("socket.wasm")))
	must(t, os.WriteFile(in("sparse.wasm"), nil, 0o600))
	must(t, os.Truncate(in("sparse.wasm"), 200<<30))
	write(t, in("empty.wasm"), nil)
	write(t, filepath.Join(outside, "linked"), guestbuild.Example(t, guestbuild.Auto, "activity_log"))
	must(t, os.Symlink(filepath.Join(outside, "linked"), in("linked.wasm")))
	expect(t, registry,
		"dangling.wasm refused: module dangling.wasm: cannot be read: is a link to a file that does not exist",
		"device.wasm refused: module device.wasm: cannot be read: is a device, not a file",
		"empty.wasm refused: module empty.wasm: ",
		"folder.wasm refused: module folder.wasm: cannot be read: is a folder, not a file",
		"good.wasm loaded",
		"linked.wasm loaded",
		"loop.wasm refused: module loop.wasm: cannot be read: ",
		"pipe.wasm refused: module pipe.wasm: cannot be read: is a pipe, not a file",
		"socket.wasm refused: module socket.wasm: cannot be read: is a socket, not a file",
		"sparse.wasm refused: module sparse.wasm: cannot be read: has 214748364800 bytes, a module has at most 16777216: raise Limits.ModuleBytesMax",
		"to_pipe.wasm refused: module to_pipe.wasm: cannot be read: is a pipe, not a file",
	)
	expect(t, registry)
}

// TestRuntime_refusesACacheThatOthersCanWrite has folders from which somebody else's code could run.
func TestRuntime_refusesACacheThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		make       func(folder string) error
	}{
		{"made by the host", "", func(string) error { return nil }},
		{"its owner's", "", func(folder string) error { return os.Mkdir(folder, 0o755) }},
		{"the group's", "others may write", func(folder string) error { return mkdir(folder, 0o770) }},
		{"everybody's", "others may write", func(folder string) error { return mkdir(folder, 0o777) }},
		{"another engine's, everybody's", "others may write", func(folder string) error {
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			return mkdir(filepath.Join(folder, "wazero-x"), 0o777)
		}},
		{"a file", "", func(folder string) error { return os.WriteFile(folder, nil, 0o600) }},
		{"another user's", "another user", func(folder string) error {
			if os.Geteuid() != 0 {
				return nil
			}
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			return os.Chown(folder, 12345, 12345)
		}},
	} {
		folder := filepath.Join(t.TempDir(), "ca[c]he")
		must(t, test.make(folder))
		runtime, err := host.NewRuntime(t.Context(), host.Options{CacheDir: folder, Compiler: compiler})
		switch {
		case err == nil:
			_ = runtime.Close(t.Context())
			if test.want != "" && (os.Geteuid() == 0 || test.name != "another user's") || test.name == "a file" {
				t.Errorf("%s: it is used", test.name)
			}
		case !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || test.want == "" &&
			test.name != "a file":
			t.Errorf("%s: %v, must say %q", test.name, err, test.want)
		}
	}
}

// mkdir makes a folder with just this mode, whatever the process masks.
func mkdir(folder string, mode os.FileMode) error {
	if err := os.Mkdir(folder, mode); err != nil {
		return err
	}
	return os.Chmod(folder, mode)
}

// TestRuntime_makesADamagedCacheAnew damages every entry of the cache, in several ways.
func TestRuntime_makesADamagedCacheAnew(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	wasm := guestbuild.Example(t, guestbuild.Auto, "user_counter")
	compile := func() string {
		log := &bytes.Buffer{}
		runtime, err := host.NewRuntime(t.Context(), host.Options{
			CacheDir: folder, Compiler: compiler, Logger: zerolog.New(log),
		})
		must(t, err)
		defer runtime.Close(t.Context())
		module, err := runtime.Load(t.Context(), "user_counter.wasm", wasm)
		if err != nil {
			t.Fatalf("%v, after %s", err, log)
		}
		module.Close(t.Context())
		return log.String()
	}
	if said := compile(); said != "" {
		t.Errorf("the first time it says %s", said)
	}
	for name, damage := range map[string]func(entry []byte) []byte{
		"nothing is left": func([]byte) []byte { return nil },
		"half is left":    func(entry []byte) []byte { return entry[:len(entry)/2] },
		"a bit of the code": func(entry []byte) []byte {
			entry[len(entry)/2] ^= 1
			return entry
		},
		"another file":        func([]byte) []byte { return []byte("hello") },
		"its end is lost":     func(entry []byte) []byte { return entry[:len(entry)-1] },
		"a bit of its head":   flipped(7),
		"a bit of its counts": flipped(20),
		"a bit of its end":    flipped(-1),
	} {
		damageAll := func(whether func(path string) bool) {
			entries, err := filepath.Glob(filepath.Join(folder, "wazero-*", "*"))
			must(t, err)
			if entries = slices.DeleteFunc(entries,
				func(path string) bool { return !whether(path) }); len(entries) == 0 {
				t.Fatal("nothing is in the cache")
			}
			for _, path := range entries {
				entry, err := os.ReadFile(path)
				must(t, err)
				must(t, os.WriteFile(path, damage(entry), 0o600))
			}
		}
		isNote := func(path string) bool { return filepath.Ext(path) == ".module" }
		damageAll(func(path string) bool { return !isNote(path) })
		if said := compile(); !strings.Contains(said,
			"compiled code in the cache is damaged: the module is compiled again") {
			t.Errorf("%s: it says %q", name, said)
		}
		damageAll(isNote)
		if said := compile(); said != "" {
			t.Errorf("%s of what says that it is compiled: it says %q", name, said)
		}
		if said := compile(); said != "" {
			t.Errorf("%s, the time after: it says %s", name, said)
		}
	}
}

// flipped changes a bit of a byte, counted from the end where it is below zero.
func flipped(at int) func(entry []byte) []byte {
	return func(entry []byte) []byte {
		entry[(at+len(entry))%len(entry)] ^= 1
		return entry
	}
}

// TestRuntime_aNoteOfAnotherModuleIsNotBelieved has a note that names the code of another module.
func TestRuntime_aNoteOfAnotherModuleIsNotBelieved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	a, b := withNumber(&hosttest.Guest{}, 1), withNumber(&hosttest.Guest{}, 2)
	notes := func() []string {
		found, err := filepath.Glob(filepath.Join(folder, "wazero-*", "*.module"))
		must(t, err)
		return found
	}
	use := func(wasm []byte) {
		runtime, err := host.NewRuntime(t.Context(), host.Options{CacheDir: folder, Compiler: compiler})
		must(t, err)
		defer runtime.Close(t.Context())
		module, err := runtime.Load(t.Context(), "x.wasm", wasm)
		must(t, err)
		module.Close(t.Context())
	}
	use(a)
	first := notes()[0]
	use(b)
	both := notes()
	second := both[1-slices.Index(both, first)]
	lie, err := os.ReadFile(first)
	must(t, err)
	truth, err := os.ReadFile(second)
	must(t, err)
	must(t, os.WriteFile(second, lie, 0o600))
	use(b)
	if text, err := os.ReadFile(second); err != nil || string(text) != string(truth) {
		t.Errorf("the note is %q (%v), and was %q", text, err, truth)
	}
}
