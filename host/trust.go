package host

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pupwasm/pupwasm/internal/plainfile"
)

// Trust says which files are read as modules. The zero value trusts every file of the folder. What is set
// must all hold.
type Trust struct {
	// Digests is a file in the format of sha256sum, a line a module: its SHA-256 in hex and the name of its
	// file, whose folder is ignored. A file may be listed with several digests. The list is read for every
	// module, so that it may change while a host runs.
	Digests string
	// Key verifies FILE.wasm.sig: an Ed25519 signature of the 32 bytes of the module's SHA-256, as 64 bytes
	// or in base64.
	Key ed25519.PublicKey
}

// TrustError says why a file is not trusted. It is one line that goes on from the file's name.
type TrustError struct{ Reason string }

// Error returns the reason.
func (e *TrustError) Error() string { return e.Reason }

// SignatureSuffix follows the name of a module in that of its signature.
const SignatureSuffix = ".sig"

const (
	digestsBytesMax = 1 << 20
	keyBytesMax     = 64 << 10
)

// Check tells whether the bytes that were read from a file are trusted.
//
// # Errors
//
// [*TrustError].
func (t Trust) Check(path string, wasm []byte) error {
	digest := sha256.Sum256(wasm)
	if t.Digests != "" {
		listed, err := readDigests(t.Digests)
		if err != nil {
			return &TrustError{Reason: fmt.Sprintf("is not loaded, the list of digests %s %s", t.Digests,
				withoutPath(err))}
		}
		if name := filepath.Base(path); !listed[digestLine{name, digest}] {
			return &TrustError{Reason: fmt.Sprintf("is not loaded, %s does not list its SHA-256 %x for %s",
				t.Digests, digest, name)}
		}
	}
	if t.Key == nil {
		return nil
	}
	signature, err := readSignature(path + SignatureSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &TrustError{Reason: fmt.Sprintf("is not loaded, it is not signed: there is no %s beside it "+
			"(SignFile makes one)", filepath.Base(path)+SignatureSuffix)}
	case err != nil:
		return &TrustError{Reason: fmt.Sprintf("is not loaded, its signature %s %s",
			filepath.Base(path)+SignatureSuffix, withoutPath(err))}
	case !ed25519.Verify(t.Key, digest[:], signature):
		return &TrustError{Reason: fmt.Sprintf("is not loaded, %s is not the signature of these bytes by the key "+
			"that is required", filepath.Base(path)+SignatureSuffix)}
	}
	return nil
}

// digestLine is what a list of digests says of one file.
type digestLine struct {
	name   string
	digest [sha256.Size]byte
}

func readDigests(path string) (map[digestLine]bool, error) {
	text, err := plainfile.Read(path, digestsBytesMax)
	if err != nil {
		return nil, err
	}
	listed := map[digestLine]bool{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry := digestLine{}
		digits, name, _ := strings.Cut(line, " ")
		if strings.HasPrefix(name, " ") || strings.HasPrefix(name, "*") { // a second space marks a text, * marks bytes
			name = name[1:]
		}
		n, err := hex.Decode(entry.digest[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
		if err != nil || n != sha256.Size || len(digits) != 2*sha256.Size || name == "" {
			return nil, fmt.Errorf("has a line %d that is none of sha256sum: 64 hex digits, two spaces and the "+
				"name of a file", number)
		}
		entry.name = filepath.Base(name)
		listed[entry] = true
	}
	return listed, nil
}

// CheckDigests tells whether a list of digests can be read.
//
// # Errors
//
// One that goes on from the file's name, or that of the file system.
func CheckDigests(path string) error {
	_, err := readDigests(path)
	return err
}

func readSignature(path string) ([]byte, error) {
	content, err := plainfile.Read(path, keyBytesMax)
	if err != nil || len(content) == ed25519.SignatureSize {
		return content, err
	}
	signature, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(content)))
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, errors.New("is none: it has neither 64 bytes nor these in base64")
	}
	return signature, nil
}

// ReadPublicKey reads the Ed25519 key of a PEM file, as 'openssl pkey -pubout' writes it.
//
// # Errors
//
// One line that goes on from the file's name.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	block, err := readPEM(path, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(block)
	if key, is := key.(ed25519.PublicKey); err == nil && is {
		return key, nil
	}
	return nil, errors.New("has no Ed25519 key: 'openssl pkey -in PRIVATE.pem -pubout' writes it")
}

// ReadPrivateKey reads the Ed25519 key of a PEM file, as 'openssl genpkey -algorithm ed25519' writes it.
//
// # Errors
//
// One line that goes on from the file's name, which has nothing of the key in it.
func ReadPrivateKey(path string) (ed25519.PrivateKey, error) {
	block, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(block)
	if key, is := key.(ed25519.PrivateKey); err == nil && is {
		return key, nil
	}
	return nil, errors.New("has no Ed25519 key: 'openssl genpkey -algorithm ed25519' makes one")
}

func readPEM(path, kind string) ([]byte, error) {
	content, err := plainfile.Read(path, keyBytesMax)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("has no %s in PEM (-----BEGIN %s-----)", strings.ToLower(kind), kind)
	}
	return block.Bytes, nil
}

// SignFile writes the signature that [Trust] asks for beside a module.
//
// # Errors
//
// One that goes on from the file's name, or that of the file system.
func SignFile(key ed25519.PrivateKey, path string) error {
	wasm, err := plainfile.Read(path, int64(Limits{}.withDefaults().ModuleBytesMax))
	if err != nil {
		return err
	}
	digest := sha256.Sum256(wasm)
	text := append(base64.StdEncoding.AppendEncode(nil, ed25519.Sign(key, digest[:])), '\n')
	return os.WriteFile(path+SignatureSuffix, text, 0o644)
}

// withoutPath returns the text of an error of the file system without its path, which the caller writes.
func withoutPath(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return "cannot be read: " + path.Err.Error()
	}
	return err.Error()
}
