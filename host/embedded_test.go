package host_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/abi"
	"github.com/pupwasm/pupwasm/host/hosttest"
	"github.com/pupwasm/pupwasm/host/meter"
)

// section appends the section of a description, of any version and text.
func section(wasm []byte, version uint32, text string) []byte {
	content := append(binary.LittleEndian.AppendUint32(nil, version), text...)
	return meter.AppendCustomSection(wasm, host.DescriptionSection, content)
}

// TestEmbed_isWhatTheModuleSays embeds the description of a module, reads it without running it, and loads it again.
func TestEmbed_isWhatTheModuleSays(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, host.Options{CacheDir: compiled})
	wasm := (&hosttest.Guest{Imports: []hosttest.Import{hosttest.ImportLog, hosttest.ImportQuery}}).Wasm()
	before := slices.Clone(wasm)
	if none, err := host.ReadEmbedded("x.wasm", wasm); none != nil || err != nil {
		t.Fatalf("a module without a section has %v, %v", none, err)
	}
	module, err := r.Load(t.Context(), "x.wasm", wasm)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close(t.Context())
	embedded, err := module.Embed(wasm)
	if err != nil || !bytes.Equal(wasm, before) || !bytes.HasPrefix(embedded, wasm) {
		t.Fatalf("embedding: %v", err)
	}
	if want := section(wasm, abi.Version, hosttest.Describe); !bytes.Equal(embedded, want) {
		t.Errorf("the section is not as docs/abi.md has it")
	}
	read, err := host.ReadEmbedded("x.wasm", embedded)
	if err != nil || read == nil {
		t.Fatal(read, err)
	}
	if !reflect.DeepEqual(read.Description, module.Description) || !slices.Equal(read.Imports, module.Imports) {
		t.Errorf("the section has %+v, the module says %+v", read, module.Description)
	}
	again, err := r.Load(t.Context(), "x.wasm", embedded)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	if read.Hash != again.Hash || read.Bytes != again.Bytes {
		t.Errorf("hash or size differ")
	}
	if twice, err := again.Embed(embedded); err != nil || !bytes.Equal(twice, embedded) {
		t.Errorf("a module that has a section gets another; %v", err)
	}
	if _, err := again.Embed(wasm); err == nil {
		t.Error("a module embeds its description into another")
	}
}

// TestEmbedded_refusesLies loads modules whose section is wrong, which hosts refuse, and reads what of it a program sees
// that does not run them.
func TestEmbedded_refusesLies(t *testing.T) {
	t.Parallel()
	plain := (&hosttest.Guest{}).Wasm()
	honest := section(plain, abi.Version, hosttest.Describe)
	const lie = "is not the one that it returns when it runs"
	for name, test := range map[string]struct {
		wasm       []byte
		load, read string // errors; none for ""
	}{
		"another description": {
			section(plain, abi.Version, strings.Replace(hosttest.Describe, `"total"`, `"totals"`, 4)), lie, "",
		},
		"one blank more": {section(plain, abi.Version, hosttest.Describe+" "), lie, ""},
		"cut off":        {section(plain, abi.Version, hosttest.Describe[:100]), lie, "its description cannot be read"},
		"empty":          {section(plain, abi.Version, ""), lie, "its description cannot be read"},
		"twice the same": {section(honest, abi.Version, hosttest.Describe), "twice", "twice"},
		"twice": {
			section(section(plain, abi.Version, `{"name":"a","version":1}`), abi.Version, hosttest.Describe),
			"twice", "twice",
		},
		"another version": {
			section(plain, 2, hosttest.Describe), "for version 2 of the ABI", "for version 2 of the ABI",
		},
		"no version": {
			meter.AppendCustomSection(plain, host.DescriptionSection, []byte{1, 0}), "of 2 bytes", "of 2 bytes",
		},
		"too large": {
			section(plain, abi.Version, strings.Repeat(" ", 1<<20+1)), "the limit is 1048576", "the limit is 1048576",
		},
		"announces too much": {append(slices.Clone(plain), 0, 0xff, 0xff, 0xff, 0xff, 0x0f), "is cut off", "is cut off"},
		"a name too long":    {append(slices.Clone(plain), 0, 2, 0x7f, 'p'), "is cut off", "is cut off"},
	} {
		r := newRuntime(t, host.Options{})
		module, err := r.Load(t.Context(), "x.wasm", test.wasm)
		if module != nil {
			module.Close(t.Context())
		}
		checkRefusal(t, name+", loaded", err, test.load)
		_, err = host.ReadEmbedded("x.wasm", test.wasm)
		checkRefusal(t, name+", read", err, test.read)
	}
}

func checkRefusal(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: the error is %v", name, err)
		}
		return
	}
	var refusal *host.LoadError
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: the error is %v, must be one line with %q", name, err, want)
	}
}

// FuzzReadEmbedded reads what files may have that nobody runs. A section that is read is the one that was embedded.
func FuzzReadEmbedded(f *testing.F) {
	plain := (&hosttest.Guest{}).Wasm()
	f.Add([]byte("\x00asm\x01\x00\x00\x00"), "")
	f.Add(plain, hosttest.Describe)
	f.Add(section(plain, abi.Version, hosttest.Describe), `{"name":"a","version":1}`)
	f.Add(append(slices.Clone(plain), 0, 0xff, 0xff, 0xff, 0xff, 0x0f), "{}")
	f.Fuzz(func(t *testing.T, wasm []byte, text string) {
		before, errBefore := host.ReadEmbedded("x.wasm", wasm)
		if errBefore != nil {
			return
		}
		after, err := host.ReadEmbedded("x.wasm", section(wasm, abi.Version, text))
		switch {
		case before != nil && (err == nil || !strings.Contains(err.Error(), "twice")):
			t.Errorf("a second section is not refused: %v", err)
		case before == nil && err == nil && after == nil:
			t.Error("the section is not found")
		}
	})
}
