package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// completionHelp is the help of 'pupwasm completion'.
const completionHelp = `Print a script by which a shell completes command lines of pupwasm: commands, flags and their
values, files, and what the database of --database knows, such as projections, tables, versions and parked keys. The
help of each shell's command says where the script goes.`

// shells are examples of what to do with the script of each shell.
var shells = map[string]string{
	"bash": `  source <(pupwasm completion bash)
  pupwasm completion bash > /etc/bash_completion.d/pupwasm`,
	"zsh": `  source <(pupwasm completion zsh)
  pupwasm completion zsh > "${fpath[1]}/_pupwasm"`,
	"fish": `  pupwasm completion fish | source
  pupwasm completion fish > ~/.config/fish/completions/pupwasm.fish`,
	"powershell": `  pupwasm completion powershell | Out-String | Invoke-Expression
  pupwasm completion powershell > pupwasm.ps1`,
}

// addCobraCommands adds the commands that come with Cobra, and makes them like the others. Neither needs the file of
// flags, so a wrong one must not stop them.
func addCobraCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	help, completion := subcommand(root, "help"), subcommand(root, "completion")
	help.Use, help.Short = "help [COMMAND]", "Show the help of a command"
	help.Long = `Show the help of a command, as 'pupwasm COMMAND --help' does.`
	help.Example = `  pupwasm help
  pupwasm help parked export`
	help.Args = func(cmd *cobra.Command, args []string) error {
		of, rest, err := cmd.Root().Find(args)
		if err == nil && len(rest) > 0 && of.HasSubCommands() {
			err = of.Args(of, rest)
		}
		return err
	}
	completion.Short, completion.Long = "Print the completion script of a shell", completionHelp
	completion.Example = `  pupwasm completion bash --help
  source <(pupwasm completion bash)`
	asGroup(completion)
	for _, shell := range completion.Commands() {
		shell.Short = fmt.Sprintf("Print the completion script of %s", shell.Name())
		shell.Example = shells[shell.Name()]
		shell.Args = wantArgs(cobra.NoArgs)
		shell.Annotations = map[string]string{withoutConfig: ""}
	}
	for _, cmd := range []*cobra.Command{help, completion} {
		cmd.Annotations = map[string]string{withoutConfig: ""}
	}
}
