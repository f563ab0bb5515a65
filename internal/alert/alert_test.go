//go:build unix

package alert

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pupwasm/pupwasm/internal/testwait"
)

var message = Message{JSON: []byte(`{"key":"a\nb"}`), Env: []string{"PARKED_KEY=a b", "PARKED_ERROR=$(false) \"'"}}

func tell(t *testing.T, target string) error {
	t.Helper()
	to, err := To(target)
	if err != nil {
		t.Fatal(err)
	}
	return to.Tell(t.Context(), message)
}

// serve answers with a handler, and returns the URL with a user, a password and a token.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http://", "http://somebody:secret@", 1) + "/hook/secret?token=secret"
}

func TestServer_postsTheMessage(t *testing.T) {
	t.Parallel()
	var got atomic.Pointer[string]
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		text := strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("Content-Type"), user, password, string(body)}, " ")
		got.Store(&text)
	})
	if err := tell(t, url); err != nil {
		t.Fatal(err)
	}
	if want := `POST /hook/secret?token=secret application/json somebody secret {"key":"a\nb"}`; *got.Load() != want {
		t.Errorf("the server got %s, want %s", *got.Load(), want)
	}
}

// TestServer_failures have one line without what may be secret.
func TestServer_failures(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, " answers 403"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) }, " answers 302: redirects are not followed"},
		"broken":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "posting to 127.0.0.1:"},
		"large": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, " answers 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tell(t, serve(t, test.handler))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestServer_aContextEndsIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	to, err := To(serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then does a server see that its client has gone
		cancel()
		<-r.Context().Done()
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Tell(ctx, message); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// script makes a program, and a folder in which it leaves files.
func script(t *testing.T, text string) (path, folder string) {
	t.Helper()
	folder = t.TempDir()
	path = filepath.Join(folder, "tell me") // a blank is part of the name
	text = "#!/bin/sh\ncd '" + folder + "'\n" + text
	// A descriptor that another test's fork holds open for writing would keep the program from running.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, folder
}

func TestProgram_hasTheMessage(t *testing.T) {
	t.Parallel()
	path, folder := script(t, `{ cat; echo " $# $PARKED_KEY $PARKED_ERROR"; } > got`)
	if err := tell(t, path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "got"))
	if want := `{"key":"a\nb"} 0 a b $(false) "'` + "\n"; err != nil || string(got) != want {
		t.Errorf("the program got %q, %v, want %q", got, err, want)
	}
}

func TestProgram_failureHasItsWords(t *testing.T) {
	t.Parallel()
	path, _ := script(t, "echo no >&2; echo route; head -c 100000 /dev/zero | tr '\\0' x; exit 3")
	err := tell(t, path)
	if err == nil || !strings.HasPrefix(err.Error(), "tell me: exit status 3: no route xxx") || len(err.Error()) > 1000 {
		t.Errorf("got %v", err)
	}
}

// TestProgram_isKilledWithItsChildren has a program wait for a child that would wait for ever.
func TestProgram_isKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	path, folder := script(t, "sleep 100000 & echo $! > child.new; mv child.new child; wait")
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 1)
	to, err := To(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() { told <- to.Tell(ctx, message) }()
	var child int
	testwait.Until(t, "the child runs", func() bool {
		text, _ := os.ReadFile(filepath.Join(folder, "child"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child > 0
	})
	cancel()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("got %v", err)
	}
	testwait.Until(t, "the child is gone", func() bool { return ended(child) })
}

// TestProgram_doesNotWaitForWhatItLeavesBehind has a child keep the output open.
func TestProgram_doesNotWaitForWhatItLeavesBehind(t *testing.T) {
	t.Parallel()
	path, folder := script(t, "sleep 100000 & echo $! > child; exit 0")
	if err := tell(t, path); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "child"))
	child, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || child == 0 {
		t.Fatalf("the child is %q, %v", text, err)
	}
	testwait.Until(t, "the child is gone", func() bool { return ended(child) })
}

// ended reports that a process runs no more: it is gone, or nobody has asked for its exit code yet.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) != nil
	}
	return strings.Contains(string(stat), ") Z ")
}

func TestTo_refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "nothing-of-this-name", "/nowhere/secret", "ftp://somebody:secret@host/", "http://", "http://somebody:secret@host:port/",
		"ls -l secret",
	} {
		if _, err := To(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
