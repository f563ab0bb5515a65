package oneline_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pupwasm/pupwasm/internal/oneline"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("one"), "one"},
		{errors.New("one\r\n  two\tthree \x1b[2J\n"), "one two three [2J"},
		{errors.Join(errors.New("one\ntwo"), errors.Join(errors.New("three"), errors.New("four"))), "one two; three; four"},
		{
			fmt.Errorf("two of them: %w, %w", io.EOF, io.ErrNoProgress),
			"two of them: EOF, multiple Read calls return no data or error",
		},
		{errors.New(""), ""},
	} {
		if got := oneline.Of(c.err); got != c.want {
			t.Errorf("%q becomes %q, must be %q", c.err, got, c.want)
		}
		if wrapped := oneline.Error(c.err); wrapped.Error() != c.want || !errors.Is(wrapped, c.err) {
			t.Errorf("%q becomes %q, must be %q, and wrap it", c.err, wrapped, c.want)
		}
	}
}
