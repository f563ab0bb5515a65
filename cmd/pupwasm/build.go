package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	compiler  string
	force     bool
	json      bool
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
		RunE: func(cmd *cobra.Command, args []string) error { return runBuild(cmd.Context(), opts, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opts.outFolder, "out", "o", "", "`folder` for the modules (default: modules in DIR)")
	flags.StringVar(&opts.compiler, "compiler", string(build.Auto),
		"tinygo, go, or auto: tinygo where it is installed (or PUPWASM_BUILD_COMPILER)")
	inEnvironment(flags, "compiler", "PUPWASM_BUILD_COMPILER") // PUPWASM_COMPILER starts the compiler of package host
	flags.BoolVar(&opts.force, "force", false, "compile also what was built before")
	flags.BoolVar(&opts.json, "json", false, "print JSON")
	completeFlag(cmd, "compiler", compilers...)
	_ = cmd.MarkFlagDirname("out") // fails only for a flag that is not there
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
}

func runBuild(ctx context.Context, opts *buildOptions, folders []string) error {
	if !slices.Contains(compilers, opts.compiler) {
		return usagef("--compiler %q: use auto, tinygo or go", opts.compiler)
	}
	if len(folders) == 0 {
		folders = []string{"."}
	}
	projects, err := build.Projects(folders)
	if err != nil {
		return opts.buildError("", err)
	}
	w := &workshop{opts: opts, cache: build.UserCache()}
	defer w.close(context.WithoutCancel(ctx))
	all := []*builtModule{}
	var failures []error
	for _, project := range projects {
		built, err := w.build(ctx, project)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failures = append(failures, opts.buildError(build.Relative(project.Folder), err))
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
	took := time.Duration(m.Nanoseconds).Seconds()
	outcome := fmt.Sprintf("%s in %.1f s", m.Outcome, took)
	if m.Outcome != build.Compiled {
		outcome = string(m.Outcome)
	}
	fmt.Fprintf(opts.out, "%s: %s version %d, by %s, %s, %s\n", printable(m.File), m.Projection, m.Version,
		compilerText(m.Compiler, m.CompilerIs), sizeText(m.Bytes), outcome)
	for _, fixture := range m.Fixtures {
		fmt.Fprintf(opts.out, "  %s\n", fixture)
	}
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

// buildError prints the lines of what is wrong in a source, and returns an error that sums them up.
func (o *buildOptions) buildError(folder string, err error) error {
	var mistakes *build.MistakesError
	var wrong *build.CompileError
	var refused *host.LoadError
	lines := func(lines []string) {
		for _, line := range lines {
			fmt.Fprintln(o.errs, printable(line))
		}
	}
	switch {
	case errors.As(err, &mistakes):
		errs := int64(0)
		for _, m := range mistakes.Mistakes {
			lines([]string{m.String()})
			if !m.Warning {
				errs++
			}
		}
		return &inputError{
			where: build.Relative(mistakes.Folder),
			err:   errors.New("is not built: " + oneline.Count(errs, "mistake")),
		}
	case errors.As(err, &wrong):
		lines(wrong.Lines())
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
