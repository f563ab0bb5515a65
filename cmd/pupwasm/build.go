package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/oneline"
)

const buildHelp = `Compile projections in Go to modules. A DIR is a folder with a Go package main, or one whose direct subfolders have
one each. The module of the folder NAME is modules/NAME.wasm in DIR, or NAME.wasm in --out. It appears when it is
complete, so that 'pupwasm run --watch' takes it up.

TinyGo is used where there is one (PATH, then what 'pupwasm toolchain install' has installed), otherwise Go. The source
is checked for what cannot work in a module. The module is loaded as 'pupwasm run' does, and its description is written
into it, which 'pupwasm inspect' shows. If the folder has testdata/*.jsonl or fixtures/*.jsonl, in the format that
'pupwasm append' reads, the fuel per event is shown.

Nothing is compiled if source, compiler and settings are those of an earlier build: --force compiles all the same.`

// The values of --compiler.
var compilers = []string{string(build.Auto), string(build.TinyGo), string(build.Go)}

type buildOptions struct {
	*globalOptions

	outFolder string
	compiler  compilerFlag
	force     bool
}

// compilerFlag is the flag of commands that build.
type compilerFlag string

func (c *compilerFlag) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar((*string)(c), "compiler", string(build.Auto),
		"tinygo, go, or auto: tinygo where it is installed (or PUPWASM_BUILD_COMPILER)")
	inEnvironment(flags, "compiler", "PUPWASM_BUILD_COMPILER") // PUPWASM_COMPILER starts the compiler of package host
	completeFlag(cmd, "compiler", compilers...)
}

func (c *compilerFlag) check() error {
	if !slices.Contains(compilers, string(*c)) {
		return usagef("--compiler %q: use auto, tinygo or go", string(*c))
	}
	return nil
}

func newBuildCommand(globals *globalOptions) *cobra.Command {
	opts := &buildOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "build [DIR...]",
		Short: "Compile projections to modules",
		Long:  buildHelp,
		Example: `  pupwasm build
  pupwasm build projections --out /srv/modules
  pupwasm build counter totals --compiler go --force`,
		RunE:              func(cmd *cobra.Command, args []string) error { return runBuild(cmd.Context(), opts, args) },
		ValidArgsFunction: completeFolders,
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.outFolder, "out", "o", "", "`folder` for the modules (default: modules in DIR)")
	opts.compiler.addTo(cmd)
	flags.BoolVar(&opts.force, "force", false, "compile also what was built before")
	opts.addJSON(flags, printsJSON)
	return cmd
}

// builtModule is what build prints of a module, and its JSON form.
type builtModule struct {
	File        string            `json:"file"`
	Folder      string            `json:"folder"`
	Projection  string            `json:"projection"`
	Version     int               `json:"version"`
	Compiler    build.Compiler    `json:"compiler"`
	CompilerIs  string            `json:"compiler_version"`
	Bytes       int               `json:"bytes"`
	SHA256      string            `json:"sha256"`
	Outcome     build.Outcome     `json:"outcome"`
	Nanoseconds int64             `json:"nanoseconds"`
	Fixtures    []measuredFixture `json:"fixtures"`
	Warnings    []build.Mistake   `json:"warnings"`

	wasm []byte
}

func runBuild(ctx context.Context, opts *buildOptions, folders []string) error {
	if err := opts.compiler.check(); err != nil {
		return err
	}
	if len(folders) == 0 {
		folders = []string{"."}
	}
	projects, err := build.Projects(folders)
	if err != nil {
		return opts.tellMistakes("", err)
	}
	w := &workshop{compiler: opts.compiler, force: opts.force, cache: build.UserCache()}
	defer w.close(context.WithoutCancel(ctx))
	all := []*builtModule{}
	var failures []error
	for _, project := range projects {
		built, err := w.build(ctx, project, opts.outOf(project))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failures = append(failures, opts.tellMistakes(build.Relative(project.Folder), err))
			continue
		}
		if opts.json {
			all = append(all, built)
			continue
		}
		built.print(opts)
	}
	if opts.json {
		if err := writeJSON(opts.out, all); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// print shows what was built on the output, and warnings beside it.
func (m *builtModule) print(opts *buildOptions) {
	for _, warning := range m.Warnings {
		fmt.Fprintln(opts.errs, printable(warning.String()))
	}
	fmt.Fprintln(opts.out, m)
	for _, fixture := range m.Fixtures {
		fmt.Fprintf(opts.out, "  %s\n", fixture)
	}
}

// String is what was built, in one line.
func (m *builtModule) String() string {
	outcome := string(m.Outcome)
	if m.Outcome == build.Compiled {
		outcome = fmt.Sprintf("%s in %.1f s", m.Outcome, time.Duration(m.Nanoseconds).Seconds())
	}
	return fmt.Sprintf("%s: %s version %d, by %s, %s, %s", printable(m.File), m.Projection, m.Version,
		compilerText(m.Compiler, m.CompilerIs), sizeText(m.Bytes), outcome)
}

// compilerText names a compiler as people do.
func compilerText(compiler build.Compiler, version string) string {
	if compiler == build.TinyGo {
		return "TinyGo " + version
	}
	return "Go " + strings.TrimPrefix(version, "go")
}

// sizeText is a number of bytes for people.
func sizeText(bytes int) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f KB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

// tellMistakes prints the lines of what is wrong in a source, and returns an error that sums them up.
func (o *buildOptions) tellMistakes(folder string, err error) error {
	for _, line := range mistakeLines(err) {
		fmt.Fprintln(o.errs, printable(line))
	}
	return buildError(folder, err)
}

// mistakeLines are the lines of what is wrong in a source, each with its place.
func mistakeLines(err error) (lines []string) {
	var mistakes *build.MistakesError
	var wrong *build.CompileError
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes.Mistakes {
			lines = append(lines, m.String())
		}
	case errors.As(err, &wrong):
		lines = wrong.Lines()
	}
	return lines
}

// buildError sums up why a folder is not built.
func buildError(folder string, err error) error {
	var mistakes *build.MistakesError
	var wrong *build.CompileError
	var refused *host.LoadError
	switch {
	case errors.As(err, &mistakes):
		errs := int64(0)
		for _, m := range mistakes.Mistakes {
			if !m.Warning {
				errs++
			}
		}
		return &inputError{
			where: build.Relative(mistakes.Folder),
			err:   errors.New("is not built: " + oneline.Count(errs, "mistake")),
		}
	case errors.As(err, &wrong):
		return &inputError{where: build.Relative(wrong.Folder), err: fmt.Errorf("does not compile with %s",
			map[build.Compiler]string{build.Go: "Go", build.TinyGo: "TinyGo"}[wrong.Compiler])}
	case errors.As(err, &refused) && !refused.Transient:
		return &inputError{where: folder, err: fmt.Errorf("hosts refuse the module: %s", refused.Reason)}
	case errors.Is(err, build.ErrNoTinyGo):
		return usagef("%v; on Debian 'pupwasm toolchain install' installs it", err)
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		return &inputError{where: build.Relative(file.Path), err: file.Err}
	}
	var link *os.LinkError // of renaming a module to its file
	if errors.As(err, &link) {
		return &inputError{where: build.Relative(link.New), err: link.Err}
	}
	return err
}

// outOf is the file of a project's module.
func (o *buildOptions) outOf(project build.Project) string {
	folder := o.outFolder
	if folder == "" {
		folder = filepath.Join(build.Relative(project.Under), "modules")
	}
	return filepath.Join(folder, project.Name+".wasm")
}
