package host_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/host/hosttest"
)

// trusting is a folder with one module, and a registry that trusts some files of it.
func trusting(t *testing.T, trust host.Trust) (folder string, sync func() (loaded bool, said string)) {
	t.Helper()
	folder = t.TempDir()
	write(t, folder+"/a.wasm", (&hosttest.Guest{Describe: `{"name":"a","version":1}`}).Wasm())
	runtime, err := host.NewRuntime(t.Context(), host.Options{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runtime.Close(t.Context()) })
	registry, err := host.NewRegistry(runtime, folder)
	if err != nil {
		t.Fatal(err)
	}
	registry.WaitForAll()
	t.Cleanup(registry.Close)
	last := "" // a file that stays as it is is told of once
	return folder, func() (loaded bool, said string) {
		t.Helper()
		changes, err := registry.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			last = ""
			if c.Err != nil {
				last = c.Err.Error()
			}
			loaded = loaded || c.Module != nil
		}
		if strings.Contains(last, "\n") {
			t.Errorf("%q is not one line", last)
		}
		return loaded, last
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTrust_loadsOnlyWhatTheListOfDigestsHas(t *testing.T) {
	t.Parallel()
	list := t.TempDir() + "/digests"
	folder, sync := trusting(t, host.Trust{Digests: list})
	digest := fmt.Sprintf("%x", sha256.Sum256(read(t, folder+"/a.wasm")))
	other := strings.Repeat("0", 64)
	refuse := func(content, want string) {
		t.Helper()
		write(t, list, []byte(content))
		loaded, said := sync()
		if loaded || !strings.HasPrefix(said, "module a.wasm: is not loaded, ") || !strings.Contains(said, want) {
			t.Errorf("with %q: loaded %v, %q, want %q", content, loaded, said, want)
		}
	}
	if loaded, said := sync(); loaded || !strings.Contains(said, "cannot be read: no such file") {
		t.Errorf("without a list: loaded %v, %q", loaded, said)
	}
	refuse("", "does not list its SHA-256 "+digest+" for a.wasm")
	refuse(other+"  a.wasm\n", "does not list")
	refuse("# "+digest+"  a.wasm\n", "does not list")
	for _, bad := range []string{digest, digest + "a  a.wasm", digest[1:] + "  a.wasm", digest + " ", "x" + digest[1:] + "  a.wasm", digest + "\ta.wasm", "a.wasm  " + digest} {
		refuse("# a list\n\n"+bad+"\n", "has a line 3")
	}
	refuse(strings.Repeat("#", 1<<20)+"\n", "it may have at most")
	refuse(digest+"  b.wasm\n", "does not list")
	write(t, list, []byte(other+"  a.wasm\r\n"+digest+" *bin/modules/a.wasm"))
	if loaded, said := sync(); !loaded {
		t.Errorf("the listed module is not loaded: %q", said)
	}
	write(t, folder+"/a.wasm", (&hosttest.Guest{Describe: `{"name":"a","version":2}`}).Wasm())
	if loaded, said := sync(); loaded || !strings.Contains(said, "does not list") {
		t.Errorf("another module under its name: loaded %v, %q", loaded, said)
	}
}

func TestTrust_loadsOnlyWhatIsSigned(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	folder, sync := trusting(t, host.Trust{Key: public})
	module := folder + "/a.wasm"
	want := func(name string, load bool, words string) {
		t.Helper()
		if loaded, said := sync(); loaded != load || !strings.Contains(said, words) {
			t.Errorf("%s: loaded %v, %q, want %v, %q", name, loaded, said, load, words)
		}
	}
	sign := func(key ed25519.PrivateKey, path string) {
		t.Helper()
		if err := host.SignFile(key, path); err != nil {
			t.Fatal(err)
		}
	}
	want("no signature", false, "is not signed: there is no a.wasm.sig")
	write(t, module+".sig", []byte("hello"))
	want("a text", false, "is none")
	write(t, module+".sig", make([]byte, 64))
	want("zeros", false, "is not the signature of these bytes")
	sign(stranger, module)
	want("a stranger's", false, "is not the signature of these bytes")
	write(t, folder+"/other", []byte("other"))
	sign(private, folder+"/other")
	write(t, module+".sig", read(t, folder+"/other.sig"))
	want("that of another file", false, "")
	write(t, module+".sig", ed25519.Sign(private, read(t, module)))
	want("of the bytes in place of their digest", false, "")
	if err := os.Remove(module + ".sig"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(module+".sig", 0o700); err != nil {
		t.Fatal(err)
	}
	want("a folder", false, "is a folder")
	if err := os.Remove(module + ".sig"); err != nil {
		t.Fatal(err)
	}
	sign(private, module)
	want("signed", true, "")
	digest := sha256.Sum256(read(t, module))
	write(t, module+".sig", ed25519.Sign(private, digest[:]))
	want("as 64 bytes", false, "") // nothing has changed
	content := read(t, module)
	write(t, module, append(content, 0, 1, 0)) // an empty section
	want("changed behind the signature", false, "is not the signature of these bytes")
}

func TestTrust_readsKeysOfOpenSSL(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder+"/public", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if der, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	write(t, folder+"/private", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write(t, folder+"/text", []byte("no key"))
	if key, err := host.ReadPublicKey(folder + "/public"); err != nil || !key.Equal(public) {
		t.Errorf("the public key is %v, %v", key, err)
	}
	if key, err := host.ReadPrivateKey(folder + "/private"); err != nil || !key.Equal(private) {
		t.Errorf("the private key is not as it was: %v", err)
	}
	for _, name := range []string{"private", "text", "none"} {
		if _, err := host.ReadPublicKey(folder + "/" + name); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s as a public key: %v", name, err)
		}
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed")
		return
	}
	run := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), openssl, args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v: %s", args, err, out)
		}
	}
	run("genpkey", "-algorithm", "ed25519", "-out", "private.pem")
	run("pkey", "-in", "private.pem", "-pubout", "-out", "public.pem")
	run("genpkey", "-algorithm", "rsa", "-out", "rsa.pem")
	run("pkey", "-in", "rsa.pem", "-pubout", "-out", "rsa.pub")
	write(t, folder+"/a.wasm", []byte("bytes"))
	run("dgst", "-sha256", "-binary", "-out", "digest", "a.wasm")
	run("pkeyutl", "-sign", "-rawin", "-inkey", "private.pem", "-in", "digest", "-out", "a.wasm.sig")
	key, err := host.ReadPublicKey(filepath.Join(folder, "public.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := (host.Trust{Key: key}).Check(folder+"/a.wasm", []byte("bytes")); err != nil {
		t.Errorf("a signature of openssl: %v", err)
	}
	if key, err := host.ReadPublicKey(folder + "/rsa.pub"); err == nil ||
		!strings.Contains(err.Error(), "no Ed25519 key") {
		t.Errorf("an RSA key: %v, %v", key, err)
	}
	if _, err := host.ReadPrivateKey(folder + "/rsa.pem"); err == nil || !strings.Contains(err.Error(), "no Ed25519 key") {
		t.Errorf("an RSA key: %v", err)
	}
}
