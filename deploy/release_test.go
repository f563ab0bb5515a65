//go:build unix

package deploy

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// release builds the program for this platform out of a copy of the sources, as scripts/release.sh does, and returns the
// folder. The copy has what Docker gets to build from, and that script.
func release(t *testing.T, version string) string {
	t.Helper()
	sources, out := t.TempDir(), t.TempDir()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range strings.Split(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		leaveOut, err := ignored.MatchesOrParentMatches(file)
		if err != nil {
			t.Fatal(err)
		}
		if !leaveOut || file == "scripts/release.sh" {
			copyFile(t, filepath.Join("..", file), filepath.Join(sources, file))
		}
	}
	build := exec.Command(filepath.Join(sources, "scripts/release.sh"), version, out, "linux/"+runtime.GOARCH)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(target, source)
	if closed := target.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// TestRelease_isStaticAndTheSameAgain builds twice, in two folders.
func TestRelease_isStaticAndTheSameAgain(t *testing.T) {
	t.Parallel()
	const version = "v1.2.3-test.1"
	name := "pupwasm-" + version + "-linux-" + runtime.GOARCH
	first, second := release(t, version), release(t, version)
	sums := read(t, filepath.Join(first, "SHA256SUMS"))
	if again := read(t, filepath.Join(second, "SHA256SUMS")); !bytes.Equal(sums, again) || !strings.HasSuffix(string(sums), "  "+name+"\n") {
		t.Errorf("one build has\n%s, the other\n%s", sums, again)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = first
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	program := filepath.Join(first, name)
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
		t.Errorf("it is built with %v", settings)
	}
	if runtime.GOOS == "linux" {
		testStatic(t, program, version)
	}
}

// testStatic runs the program where there is nothing else, as in the image.
func testStatic(t *testing.T, program, version string) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a part of type %s: it is not static", part.Type)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may run it in an empty root")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, program, filepath.Join(root, "pupwasm"))
	command := exec.Command("/pupwasm", "version")
	command.Dir, command.Env = "/", []string{}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532, NoSetGroups: true},
	}
	out, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "pupwasm "+version) {
		t.Errorf("it says %q (%v)", out, err)
	}
}

func TestRelease_refusesWhatIsNoVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.2.3", "v1.2", "v1.2.3 -X main.version=x", "", "v1.2.3-"} {
		folder := t.TempDir()
		out, err := exec.Command("../scripts/release.sh", version, folder).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "must be like v1.2.3") {
			t.Errorf("%q: %v: %s", version, err, out)
		}
	}
}
