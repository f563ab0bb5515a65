package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// choicesAnnotation has the values of a flag that takes one of a few.
const choicesAnnotation = "choices"

// completeFlag offers fixed values of a flag to the shell.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	flags := cmd.Flags()
	if flags.Lookup(flag) == nil {
		flags = cmd.PersistentFlags()
	}
	flagChoices(flags, flag, values...)
}

// flagChoices says which values a flag has.
func flagChoices(flags *pflag.FlagSet, flag string, values ...string) {
	annotate(flags, flag, choicesAnnotation, values...)
}

// flagFiles offers files with these endings for a flag, and folders that may have some.
func flagFiles(flags *pflag.FlagSet, flag string, endings []string) {
	annotate(flags, flag, cobra.BashCompFilenameExt, endings...)
}

func annotate(flags *pflag.FlagSet, flag, annotation string, values ...string) {
	if err := flags.SetAnnotation(flag, annotation, values); err != nil {
		panic(err) // there is no such flag
	}
}

// completeAll tells the shell what follows every flag, and that nothing follows a command without arguments. A flag
// whose usage calls its value a `file` or a `folder` gets files or folders.
func completeAll(root *cobra.Command) {
	eachCommand(root, func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(flag *pflag.Flag) { completeValue(cmd, flag) })
		}
		if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && cmd.Args != nil && cmd.Args(cmd, []string{"x"}) != nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	})
}

func completeValue(cmd *cobra.Command, flag *pflag.Flag) {
	value, _ := pflag.UnquoteUsage(flag)
	_, hasEndings := flag.Annotations[cobra.BashCompFilenameExt]
	complete := cobra.NoFileCompletions
	switch {
	case flag.NoOptDefVal != "" || hasEndings || value == "file":
		return // files are what the shell offers by itself
	case value == "folder":
		if flag.Annotations == nil {
			flag.Annotations = map[string][]string{}
		}
		flag.Annotations[cobra.BashCompSubdirsInDir] = nil
		return
	case flag.Annotations[choicesAnnotation] != nil:
		complete = cobra.FixedCompletions(flag.Annotations[choicesAnnotation], cobra.ShellCompDirectiveNoFileComp)
	case isDatabase(flag):
		complete = cobra.FixedCompletions(schemes(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	}
	// It fails only for a flag that the command does not have, or that has a function.
	if _, has := cmd.GetFlagCompletionFunc(flag.Name); !has {
		if err := cmd.RegisterFlagCompletionFunc(flag.Name, complete); err != nil {
			panic(err)
		}
	}
}

// isDatabase reports whether a flag has the URL of a database.
func isDatabase(flag *pflag.Flag) bool {
	kind := flag.Annotations[secretAnnotation]
	return kind != nil && kind[0] == secretDatabase
}
