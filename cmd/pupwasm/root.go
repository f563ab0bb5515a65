package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/migrations"
)

// globalOptions are the settings that every command shares. The flags and log are set before a command's run
// function is called.
type globalOptions struct {
	database  string
	schema    string
	migrate   bool
	logLevel  string
	logFormat string
	config    string

	databaseGiven bool // --database is on the command line, and not from the environment or the default

	// Settings of append and run for the store.
	payloadMax  int
	durable     bool
	connections int
	isolation   string
	eager       bool // connections are opened before they are needed
	limits      limitOptions

	json bool // of commands that print a result

	log zerolog.Logger

	file    *config           // of flags, as it was when the command began
	origins map[string]origin // of flags that have no default

	in        io.Reader
	out, errs io.Writer
}

func (o *globalOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.database, "database", "sqlite:pupwasm.db",
		"`URL` of the database: postgres://…, mysql://… for MariaDB, or sqlite:PATH (or PUPWASM_DATABASE_URL)")
	inEnvironment(flags, "database", environmentOfURL("database"), "PUPWASM_DATABASE")
	asSecret(flags, "database", secretDatabase)
	flags.StringVar(&o.config, "config", "",
		"`file` of settings for flags (default: pupwasm.yaml in the current folder, if there is one)")
	flagFiles(flags, "config", yamlFiles)
	flags.StringVar(&o.schema, "schema", "pupwasm",
		"`name` of the schema for pupwasm's own tables, a prefix of their names on MariaDB and SQLite; projections get it as a prefix "+
			"too unless it is the default")
	flags.BoolVar(&o.migrate, "migrate", true, "set up and update pupwasm's tables before writing")
	flags.StringVar(&o.logLevel, "log-level", "info", "lowest `level` to log: debug, info, warn or error")
	flagChoices(flags, "log-level", logLevels...)
	flags.StringVar(&o.logFormat, "log-format", "auto",
		"log `format`: console, json, or auto (console on a terminal, otherwise json)")
	flagChoices(flags, "log-format", "auto", "console", "json")
}

// prepare checks the flags that every command has and makes the logger.
func (o *globalOptions) prepare() error {
	log, err := newLogger(o.errs, o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	o.log = log
	if err := migrations.CheckSchema(o.schema); err != nil {
		return usagef("--schema: %v", err)
	}
	return nil
}

const rootHelp = `pupwasm stores events in PostgreSQL, MariaDB or SQLite and turns them into tables with projections, which
are WebAssembly modules.

--database or PUPWASM_DATABASE_URL names the database: postgres://user@host/name, mysql://user@host/name (MariaDB) or
sqlite:PATH.
An environment variable sets every other flag except --yes: PUPWASM_LOG_LEVEL is --log-level. Below variables come
members of pupwasm.yaml in the current folder, or of the file that --config names: see 'pupwasm config --help'.

`

// newRootCommand returns the commands, with what the shell completes.
func newRootCommand(globals *globalOptions) *cobra.Command {
	root := newCommands(globals)
	root.SetOut(globals.out) // before cobra's commands are made, which remember it
	addCobraCommands(root)
	completeAll(root)
	return root
}

func newCommands(globals *globalOptions) *cobra.Command {
	root := &cobra.Command{
		Use:   "pupwasm",
		Short: "Run WebAssembly projections over an event store",
		Long:  rootHelp + exitCodesHelp(),
		Example: `  pupwasm append events.jsonl
  pupwasm run --watch modules
  pupwasm events --limit 5
  pupwasm status --database postgres://localhost/shop`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			globals.databaseGiven = cmd.Flags().Changed("database")
			if err := globals.settle(cmd); err != nil {
				return err
			}
			if err := globals.prepare(); err != nil {
				return err
			}
			globals.warnOfReaders(cmd)
			return nil
		},
		Version:       readBuild().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	asGroup(root)
	root.SetVersionTemplate(readBuild().String() + "\n")
	globals.addFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newRunCommand(globals),
		newAppendCommand(globals),
		newEventsCommand(globals),
		newRecordCommand(globals),
		newStreamCommand(globals),
		newRelayCommand(globals),
		newStatusCommand(globals),
		newDoctorCommand(globals),
		newRowsCommand(globals),
		newSegmentsCommand(globals),
		newParkedCommand(globals),
		newMessagesCommand(globals),
		newReplayCommand(globals),
		newPauseCommand(globals),
		newResumeCommand(globals),
		newRetryCommand(globals),
		newWaitCommand(globals),
		newMigrateCommand(globals),
		newVersionsCommand(globals),
		newDiffCommand(globals),
		newPromoteCommand(globals),
		newRollbackCommand(globals),
		newRetireCommand(globals),
		newRebuildCommand(globals),
		newResetCommand(globals),
		newGrantCommand(globals),
		newBuildCommand(globals),
		newToolchainCommand(globals),
		newInspectCommand(globals),
		newCheckCommand(globals),
		newNewCommand(globals),
		newGenCommand(globals),
		newDevCommand(globals),
		newTestCommand(globals),
		newPlanCommand(globals),
		newConfigCommand(globals),
		newSignCommand(globals),
		newDemoCommand(globals),
		newVersionCommand(globals),
	)
	return root
}

// asGroup makes a command that only has subcommands show its help when called alone, and refuse anything else.
func asGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
		if cmd.SuggestionsMinimumDistance <= 0 {
			cmd.SuggestionsMinimumDistance = 2
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean '%s'?", strings.Join(near, "' or '"))
		}
		return usagef("unknown command %q for '%s': %s", args[0], cmd.CommandPath(), hint)
	}
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// wantArgs makes a wrong number of arguments a usage error.
func wantArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%v: usage is '%s'", err, cmd.UseLine())
		}
		return nil
	}
}
