package pup

import "github.com/pupwasm/pupwasm/guest-sdk/internal/host"

// Level is the importance of a line of the log.
type Level uint32

// The levels.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// lowestLevel is what the host keeps, as the last batch said. It changes nothing that a projection returns.
var lowestLevel Level

// Log writes a line to the host's log. It costs nothing when the host does not keep lines of that level, but
// the caller has already built the message: see [Logs].
func Log(level Level, message string) {
	if level >= lowestLevel {
		host.Log(uint32(level), message)
	}
}

// Logs reports whether lines of that level are kept. Ask it before you build an expensive message.
func Logs(level Level) bool { return level >= lowestLevel }
