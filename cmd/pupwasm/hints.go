package main

import (
	"io"
	"regexp"
	"strings"

	"github.com/pupwasm/pupwasm/internal/status"
)

// flagOf returns the flag of an option that the libraries name as in Go.
func flagOf(name string) (flag string, has bool) {
	if flag, has = flagsOf[name]; has {
		return flag, true
	}
	option, isOption := strings.CutPrefix(name, "Options.")
	flag, has = workerFlags[option]
	return flag, isOption && has
}

// flagsOf are the flags of other options than a worker's.
var flagsOf = map[string]string{
	"Limits.ModuleBytesMax":      "module-size",
	"Limits.CompileTime":         "compile-time",
	"Limits.CompileMemoryMiB":    "compile-memory",
	"Limits.CodeMiB":             "code-size",
	"Limits.MemoryMiB":           "memory",
	"Limits.Fuel":                "fuel",
	"Limits.BatchTimeout":        "batch-timeout",
	"Options.CacheDir":           "cache-dir",
	"Options.StatementTimeout":   "statement-timeout",
	"Options.TransactionTimeout": "transaction-timeout",
	"Options.TempFileBytesMax":   "temp-file-limit",
	"Options.PayloadBytesMax":    "payload-max",
	"Options.Schema":             "schema",
	"Options.Events":             "events",
}

// commandsOf are the commands for functions that those errors name. $1 is the function's argument.
var commandsOf = map[string]string{
	"Store.Reset":                 "reset $1",
	"Store.Status":                "status",
	"Store.Migrate":               "migrate up",
	"Store.Recover":               "retry PROJECTION",
	"Host.Resume":                 "resume $1",
	"Host.Rebuild":                "rebuild $1",
	"GrantSQL":                    "grant $1",
	"SignFile":                    "sign",
	"migrations.Script(Postgres)": "migrate sql",
	"migrations.Script(MySQL)":    "migrate sql --dialect mysql",
	"migrations.Script(SQLite)":   "migrate sql --dialect sqlite",
}

// namesInGo finds both. The quotes of an argument are escaped where the text is JSON.
var namesInGo = regexp.MustCompile(`\b(?:Limits|Options)\.\w+|` +
	`\b(Store\.Reset|Host\.Resume|Host\.Rebuild|GrantSQL)\(\\?"?(\w+)\\?"?\)|\bStore\.(?:Status|Migrate|Recover)\b|\bSignFile\b|\bmigrations\.Script\(\w+\)`)

// inFlags puts flags and commands in the place of the names that libraries have for them. The names are stored as they
// are: a program that embeds the host may have written a text that a command shows, and the other way round.
func inFlags(text string) string {
	return namesInGo.ReplaceAllStringFunc(text, func(name string) string {
		if flag, has := flagOf(name); has {
			return "--" + flag
		}
		call := namesInGo.FindStringSubmatch(name)
		if call[1] != "" {
			name = call[1]
		}
		if command, has := commandsOf[name]; has {
			return "'pupwasm " + strings.Replace(command, "$1", call[2], 1) + "'"
		}
		return name
	})
}

// flagWriter puts flags and commands into a log, which comes as JSON.
type flagWriter struct{ to io.Writer }

// Write passes a line on.
func (w flagWriter) Write(line []byte) (int, error) {
	if _, err := io.WriteString(w.to, inFlags(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// statusInFlags puts flags and commands into the reasons of a status.
func statusInFlags(report *status.Report) {
	for i := range report.LogFaults {
		f := &report.LogFaults[i]
		f.Fault, f.Remedy = inFlags(f.Fault), inFlags(f.Remedy)
	}
	for i := range report.Projections {
		p := &report.Projections[i]
		for j := range p.Segments {
			s := &p.Segments[j]
			s.Failure, s.Trouble, s.LogFault = inFlags(s.Failure), inFlags(s.Trouble), inFlags(s.LogFault)
		}
		for j := range p.Refused {
			p.Refused[j].Reason = inFlags(p.Refused[j].Reason)
		}
	}
}
