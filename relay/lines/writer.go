package lines

import (
	"io"
	"slices"
)

// To returns a sink that writes to a writer, which people know by a name, such as stdout. A message is sent when Write
// returns. While Write waits, because nobody reads, those that send give up when their contexts end, and Close does not
// wait for it.
func To(writer io.Writer, name string, options Options) (*Sink, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	return (&Sink{options: options, target: name}).start(&stream{writer: writer}), nil
}

// stream is a writer. It may have a part of a line at its end, after a write that failed.
type stream struct {
	writer io.Writer
	torn   bool
}

func (s *stream) write(lines []byte) error {
	if s.torn {
		lines = slices.Insert(lines, 0, '\n')
	}
	n, err := s.writer.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if n = min(n, len(lines)); n > 0 {
		s.torn = lines[n-1] != '\n'
	}
	return err
}

func (s *stream) close() {}
