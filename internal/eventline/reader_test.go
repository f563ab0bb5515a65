package eventline

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns the lines of an input and the error that ended it. Lines that are too long are "…".
func readAll(t *testing.T, input io.Reader) (lines []string, err error) {
	t.Helper()
	r, err := NewReader(input, 1<<20)
	if err != nil {
		return nil, err
	}
	for {
		line, err := r.Next()
		switch {
		case errors.Is(err, ErrTooLong):
			lines = append(lines, "…")
		case errors.Is(err, io.EOF):
			return lines, nil
		case err != nil:
			return lines, err
		default:
			lines = append(lines, string(line))
		}
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func TestLineReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", lineBytesMax(1<<20))
	medium := strings.Repeat("y", 1<<20)
	tests := []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", nil},
		{"blank lines", "\n \n\r\n", nil},
		{"line ends", "a\nb\r\n\nc", []string{"a", "b", "c"}},
		{"white space that JSON does not know", "\u2028\n\u00a0\n\v\n", []string{"\u2028", "\u00a0", "\v"}},
		{
			"an array", "\ufeff \n[{\"a\": [1,\n{}]} , 7,null\n,\"x,]\\\"\",[]]\n",
			[]string{"{\"a\": [1,\n{}]}", "7", "null", `"x,]\""`, "[]"},
		},
		{"arrays behind each other", "[]\n[1][\n2,3 ]  [ ]", []string{"1", "2", "3"}},
		{"an array in gzip", gzipped("[{\n},") + gzipped("{}]"), []string{"{\n}", "{}"}},
		{"an element larger than the buffer", `["` + medium + `",2]`, []string{`"` + medium + `"`, "2"}},
		{"an element that is too long", `[1,"` + long + `",2]`, []string{"1", "…", "2"}},
		{"a byte order mark", "\ufeffa\n\ufeffb\n", []string{"a", "\ufeffb"}},
		{"gzip", gzipped("a\nb\n"), []string{"a", "b"}},
		{"gzip in two members", gzipped("a\n") + gzipped("b\n"), []string{"a", "b"}},
		{"a line larger than the buffer", "a\n" + medium + "\nb\n" + medium, []string{"a", medium, "b", medium}},
		{"a line that is too long", "a\n" + long + "\nb\n" + long + "xx", []string{"a", "…", "b", "…"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := readAll(t, strings.NewReader(test.input))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") || len(got) != len(test.want) {
				t.Errorf("%d lines, must be %d", len(got), len(test.want))
			}
		})
	}
}

func TestLineReader_tellsWhatIsWrongWithAnArray(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		"[": "ends within an array", "[1": "ends within an array", "[1,": "ends within an array", `["a`: "ends within an array",
		`["\`: "ends within an array", "[{}\n,{\"a\":": "ends within an array",
		"[1,]": "']' where an event must begin", "[,1]": "',' where an event must begin", "[1 2]": "'2' after an event",
		"[{}{}]": "'{' after an event", "[}]": "'}' where an event must begin", "[1] {}": "'{' after the end of an array",
		"[1]]": "']' after the end of an array", "[\"a\nb\"]": "a text that has a line break",
	} {
		if lines, err := readAll(t, strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %q", input, lines, err, want)
		}
	}
}

func TestLineReader_dropsTheLineThatAFaultOfTheInputCuts(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := readAll(t, io.MultiReader(strings.NewReader("abc\nd"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	packed := gzipped("a\n" + strings.Repeat("bcdefg", 100) + "\n")
	for size := 2; size < len(packed); size++ {
		lines, err := readAll(t, strings.NewReader(packed[:size]))
		if err == nil || !strings.Contains(err.Error(), "the file is not complete") {
			t.Errorf("%d bytes of gzip: %q, %v", size, lines, err)
		}
	}
	damaged := []byte(packed)
	damaged[len(damaged)-5] ^= 1
	if _, err := readAll(t, bytes.NewReader(damaged)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a wrong checksum: %v", err)
	}
}
