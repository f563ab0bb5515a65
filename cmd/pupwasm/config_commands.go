package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/settings"
)

const configHelp = `Settings come from flags, environment variables and a file, in this order. The file is pupwasm.yaml in the
current folder, or the one that --config or PUPWASM_CONFIG names. Members are flags: at the top those that mean the same
in every command, in a section with the name of a command those of the command.

  database: postgres://localhost/shop
  log-level: debug
  run:
    watch: true
    batch: 500

Beside a module NAME.wasm, NAME.yaml has settings of this module. See docs/settings.md.`

func newConfigCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Check and show settings", Long: configHelp,
		Example: `  pupwasm config check modules
  pupwasm config show run`,
	}
	asGroup(cmd)
	cmd.AddCommand(newConfigCheckCommand(globals), newConfigShowCommand(globals))
	return cmd
}

const configCheckHelp = `Check pupwasm.yaml, and every NAME.yaml beside the modules of DIR. Each mistake is one line with its place. A
NAME.yaml without NAME.wasm is a warning. Files are read, no module is run and no database is opened.

Of values of pupwasm.yaml that only the command itself can judge, those of 'run' are checked.`

func newConfigCheckCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check pupwasm.yaml and the settings beside modules",
		Long:  configCheckHelp,
		Example: `  pupwasm config check
  pupwasm config check modules --config /etc/pupwasm.yaml`,
		Args:              wantArgs(cobra.MaximumNArgs(1)),
		Annotations:       map[string]string{withoutConfig: ""},
		ValidArgsFunction: completeFolder,
		RunE: func(_ *cobra.Command, args []string) error {
			folder := ""
			if len(args) > 0 {
				folder = args[0]
			}
			return runConfigCheck(globals, folder)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// checkedFile is the JSON form of a file of settings that was checked.
type checkedFile struct {
	File     string   `json:"file"`
	Mistakes []string `json:"mistakes"`
	Warning  string   `json:"warning,omitempty"`
}

// sayChecked prints what was found in a file.
func (o *globalOptions) sayChecked(f *checkedFile) error {
	for _, line := range f.Mistakes {
		if err := o.say("%s", printable(line)); err != nil {
			return err
		}
	}
	if len(f.Mistakes) == 0 && f.Warning != notRead {
		if err := o.say("%s: ok", printable(f.File)); err != nil {
			return err
		}
	}
	if f.Warning == "" {
		return nil
	}
	return o.say("%s: warning: %s", printable(f.File), f.Warning)
}

const (
	notRead     = "is not read, settings end in " + settings.Suffix
	withoutWasm = "there is no module of this name beside it"
)

func runConfigCheck(globals *globalOptions, folder string) error {
	path, err := globals.findConfig()
	if err != nil {
		return err
	}
	if path == "" && folder == "" {
		return usagef("there is no %s here: name the file with --config, or the folder of modules", configName)
	}
	var found []settings.Found
	if folder != "" {
		if found, err = settings.Check(folder); err != nil {
			return &inputError{where: folder, err: unwrapPath(err)}
		}
	}
	reports := []checkedFile{}
	if path != "" {
		reports = append(reports, checkedFile{File: path, Mistakes: faultLines(checkConfig(globals, path))})
	}
	for _, one := range found {
		report := checkedFile{File: one.Path, Mistakes: []string{}}
		switch {
		case one.Path == filepath.Clean(path) || !one.Module && filepath.Base(one.Path) == configName:
			continue
		case one.Misnamed:
			report.Warning = notRead
		default:
			if report.Mistakes = faultLines(one.Err); !one.Module {
				report.Warning = withoutWasm
			}
		}
		reports = append(reports, report)
	}
	faults := 0
	for i := range reports {
		faults += len(reports[i].Mistakes)
		if err := globals.sayChecked(&reports[i]); err != nil {
			return err
		}
	}
	if err := globals.result(reports); err != nil {
		return err
	}
	if faults > 0 {
		return &inputError{where: "settings", err: errors.New(count(int64(faults), "mistake"))}
	}
	return nil
}

// faultLines are the mistakes of a file, one a line.
func faultLines(err error) []string {
	lines := []string{}
	var faults settings.Faults
	switch {
	case err == nil:
	case errors.As(err, &faults):
		for _, fault := range faults {
			lines = append(lines, fault.Error())
		}
	default:
		lines = append(lines, errorText(err))
	}
	return lines
}

// checkConfig checks a file of flags, and what commands can say of its values before they run.
func checkConfig(trust *globalOptions, path string) error {
	file, err := trust.readConfig(path)
	var faults settings.Faults
	if err != nil && !errors.As(err, &faults) {
		return configUsage(path, err)
	}
	if err != nil {
		return err
	}
	globals := &globalOptions{origins: map[string]origin{}}
	run := subcommand(scratchCommands(globals), "run")
	run.InheritedFlags()
	if err := file.apply(run, globals.origins); err != nil {
		return err
	}
	if err := globals.prepare(); err != nil {
		return globals.located(err)
	}
	return globals.located(run.PreRunE(run, nil))
}

type configShowOptions struct {
	*globalOptions

	json bool
}

func newConfigShowCommand(globals *globalOptions) *cobra.Command {
	opts := &configShowOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "show [COMMAND]",
		Short: "Show every flag of a command with its value and where it comes from",
		Long: `Show every flag of a command, by default of run, with its value, and where the value comes from: a flag, a variable,
a place in the file, or the default. Passwords are not shown.`,
		Example: `  pupwasm config show
  pupwasm config show parked export --json`,
		Annotations:       map[string]string{withoutConfig: ""},
		ValidArgsFunction: completeCommand,
		RunE:              func(cmd *cobra.Command, args []string) error { return runConfigShow(cmd, opts, args) },
	}
	cmd.Flags().BoolVar(&opts.json, "json", false, "print JSON")
	return cmd
}

// shownFlag is a flag as 'config show' prints it.
type shownFlag struct {
	Flag  string `json:"flag"`
	Value string `json:"value"`
	From  string `json:"from"`
	Where string `json:"where,omitempty"`
}

func runConfigShow(cmd *cobra.Command, opts *configShowOptions, args []string) error {
	if len(args) == 0 {
		args = []string{"run"}
	}
	of, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 || of == cmd.Root() {
		return usagef("there is no command %q: see 'pupwasm --help'", args[0])
	}
	delete(opts.origins, "json") // that of this command
	if err := opts.settleShown(of); err != nil {
		return err
	}
	var flags []shownFlag
	of.Flags().VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(noConfigFlags, flag.Name) && flag.Name != "config" {
			return
		}
		from, there := opts.origins[flag.Name]
		if !there {
			from.source = fromDefault
		}
		value, _ := withoutSecret(flag, flag.Value.String())
		flags = append(flags, shownFlag{flag.Name, value, from.source, from.where})
	})
	if opts.json {
		return writeJSON(opts.out, flags)
	}
	table := tabwriter.NewWriter(opts.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FLAG\tVALUE\tFROM")
	for _, f := range flags {
		from := f.From
		if f.Where != "" {
			from = f.Where
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Flag, printable(f.Value), printable(from))
	}
	return table.Flush()
}

// settleShown gives the flags of another command the values that they would have.
func (o *globalOptions) settleShown(of *cobra.Command) error {
	of.InheritedFlags()
	if err := flagsFromEnvironment(of.Flags(), o.origins); err != nil {
		return err
	}
	return o.applyConfig(of)
}
