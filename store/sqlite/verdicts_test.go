package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/internal/verdict/verdicttest"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

func TestVerdicts_areThoseOfThePage(t *testing.T) {
	t.Parallel()
	verdicttest.Page(t, "sqlite", sqlite.ResultCodes.Markdown(func(code sqlite3.ExtendedErrorCode) string {
		if code == 0 {
			return ""
		}
		return strconv.Itoa(int(code))
	}))
}

// TestVerdicts_everyPrimaryCode goes through the codes that SQLite has for errors, which are numbered from 1.
func TestVerdicts_everyPrimaryCode(t *testing.T) {
	t.Parallel()
	decided := map[sqlite3.ExtendedErrorCode]bool{}
	for _, line := range sqlite.ResultCodes.Lines() {
		decided[line.Code] = true
		if line.Module.String() == "" || line.Own.String() == "" || line.Commit.String() == "" {
			t.Errorf("%s lacks a verdict", line.Name)
		}
	}
	for code := sqlite3.ExtendedErrorCode(sqlite3.ERROR); code <= sqlite3.ExtendedErrorCode(sqlite3.WARNING); code++ {
		if !decided[code] {
			t.Errorf("%d (%s) has no line", code, sqlite3.ErrorCode(code))
		}
	}
}

// TestVerdicts_aFileThatIsOutOfReachIsNobodysEvent takes the right to write, and then the file, from a store in the
// middle of its work. Root may write everything, so that the calls are those of another user.
func TestVerdicts_aFileThatIsOutOfReachIsNobodysEvent(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	first := open(t, path, sqlite.Options{})
	appendTo(t, first, "a", 1)
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(file, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	for folder := filepath.Dir(path); folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		second := open(t, path, sqlite.Options{})
		wantMend(t, appendOne(t, second), "permission denied")
	})
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	third := open(t, path, sqlite.Options{})
	wantMend(t, appendOne(t, third), "there is no file "+path)
}

func appendOne(t *testing.T, s interface {
	Append(context.Context, store.AppendOptions, ...store.StreamAppend) ([]store.Appended, error)
},
) error {
	t.Helper()
	_, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{Stream: stream("a"), Events: events(1)})
	return err
}

// wantMend checks that an error waits for somebody, and is no event's.
func wantMend(t *testing.T, err error, says string) {
	t.Helper()
	var rejected *store.RejectedError
	var broken *store.StatementError
	if err == nil || errors.Is(err, store.ErrTransient) || errors.As(err, &rejected) || errors.As(err, &broken) ||
		!strings.Contains(err.Error(), says) {
		t.Errorf("got %v, must say %q and be neither transient nor an event's", err, says)
	}
}

// asNobody runs fn with the rights of nobody to files, on a thread that is not used again.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			const nobody = 65534
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); errno != 0 {
				t.Error(errno)
				return
			}
		}
		fn()
	}()
	<-done
}
