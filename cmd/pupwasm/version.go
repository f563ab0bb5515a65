package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and revision are set by the linker in a release: see scripts/release.sh.
var version, revision string

// buildReport is what version prints, and its JSON form.
type buildReport struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// String is the report in one line.
func (r buildReport) String() string {
	line := "pupwasm " + r.Version
	if r.Revision != "" {
		line += " (" + r.Revision + ")"
	}
	return fmt.Sprintf("%s, %s, %s", line, r.Go, r.Platform)
}

func newVersionCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  pupwasm version
  pupwasm version --json`,
		Args: wantArgs(cobra.NoArgs),
		// What tells which program this is works in any folder.
		Annotations: map[string]string{withoutConfig: ""},
		RunE: func(*cobra.Command, []string) error {
			report := readBuild()
			if globals.json {
				return writeJSON(globals.out, report)
			}
			_, err := fmt.Fprintln(globals.out, report)
			return err
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// readBuild returns the version set by the linker, or the one that the go command recorded.
func readBuild() buildReport {
	report := buildReport{
		Version: version, Revision: revision, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return report
	}
	if report.Version == "" {
		report.Version = info.Main.Version
	}
	modified := ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			report.Revision = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = " modified"
		}
	}
	if report.Revision != "" {
		report.Revision += modified
	}
	return report
}
