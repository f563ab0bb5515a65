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

// Log hands a line to the host's log. It costs nothing when the host does not keep lines of that level, but the message is
// made before the call: see [Logs].
func Log(level Level, message string) {
	if level >= lowestLevel {
		host.Log(uint32(level), message)
	}
}

// Logs tells whether lines of that level are kept, so that the making of the others can be saved.
func Logs(level Level) bool { return level >= lowestLevel }
