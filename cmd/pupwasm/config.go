package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/settings"
)

// configName is the file of flags in the current folder, where --config names no other.
const configName = "pupwasm.yaml"

// config is a file of flags that was checked against the commands. The zero value has none.
type config struct {
	path    string
	members map[string]map[string]*settings.Member // by command, such as "parked export" or "" for all, and by flag
}

// noConfigFlags are the flags that no file sets, as no variable does; and the one that names the file.
var noConfigFlags = append(slices.Clone(noEnvironment), "config")

// withoutConfig is the annotation of commands that a wrong file must not stop.
const withoutConfig = "without config"

// findConfig returns the path of the file of flags, or "" for none.
func (o *globalOptions) findConfig() (string, error) {
	if o.config != "" {
		return o.config, nil
	}
	link, err := os.Lstat(configName)
	if err == nil {
		_, err = os.Stat(configName) // what a link leads to
	}
	if err == nil {
		err = notOfOthers(link)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", usagef("%s: %v", configName, unwrapPath(err))
	}
	return configName, nil
}

// trustConfig says whether a file of flags may count: any that was named, and of the one in the current folder none by
// which somebody else could run programs.
func (o *globalOptions) trustConfig(info fs.FileInfo) error {
	if o.config != "" {
		return nil
	}
	return notOfOthers(info)
}

func notOfOthers(info fs.FileInfo) error {
	others := ofOthers(info)
	if others == "" {
		return nil
	}
	return fmt.Errorf("%s, who could run programs by its settings: name it with --config if you trust it, or start "+
		"elsewhere", others)
}

// readConfig reads a file of flags and checks it against all commands. Without a path there is none.
//
// # Errors
//
// [settings.Faults]; [fs.ErrNotExist].
func (o *globalOptions) readConfig(path string) (*config, error) {
	if path == "" {
		return &config{}, nil
	}
	c := &configReader{config: &config{path: path, members: map[string]map[string]*settings.Member{}}}
	file, err := settings.ReadTrusted(path, o.trustConfig)
	if err != nil && (!errors.As(err, &c.faults) || file == nil) {
		return nil, err
	}
	c.root = scratchCommands(&globalOptions{})
	c.section(c.root, file)
	if len(c.faults) > 0 {
		return nil, c.faults.Sorted()
	}
	return c.config, nil
}

// scratchCommands returns commands whose flags may be set without effect.
func scratchCommands(globals *globalOptions) *cobra.Command {
	globals.in, globals.out, globals.errs = strings.NewReader(""), io.Discard, io.Discard
	return newCommands(globals)
}

// configReader checks a file of flags.
type configReader struct {
	root   *cobra.Command
	config *config
	faults settings.Faults
}

// sectionOf is the name of a command in a config.
func sectionOf(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// section checks the members for a command, or those at the top for all.
func (c *configReader) section(cmd *cobra.Command, of *settings.Map) {
	flags := map[string]*settings.Member{}
	c.config.members[sectionOf(cmd)] = flags
	for i := range of.Members {
		member := &of.Members[i]
		if member.Kind == settings.Section {
			if sub := subcommand(cmd, member.Name); sub != nil {
				c.section(sub, member.Map)
				continue
			}
		}
		flag, fault := c.flagOf(cmd, member)
		if fault == nil {
			fault = setFlag(flag, member)
		}
		if fault != nil {
			c.faults = append(c.faults, fault)
			continue
		}
		flags[member.Name] = member
	}
}

func subcommand(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// flagOf returns the flag that a member is for. At the top it is one that means the same in every command that has it.
func (c *configReader) flagOf(cmd *cobra.Command, member *settings.Member) (*pflag.Flag, *settings.Fault) {
	name := settings.Show(member.Name)
	if slices.Contains(noConfigFlags, member.Name) {
		return nil, member.Fault("%s cannot be set in a file", name)
	}
	if cmd != c.root {
		if flag := cmd.Flag(member.Name); flag != nil {
			return flag, nil
		}
		return nil, member.Fault("'%s' has no flag %s%s", cmd.CommandPath(), name,
			settings.DidYouMean(member.Name, c.names(cmd)))
	}
	var flag *pflag.Flag
	var commands []string
	same := true
	eachCommand(c.root, func(one *cobra.Command) {
		own := one.LocalFlags().Lookup(member.Name)
		if own == nil {
			return
		}
		commands = append(commands, sectionOf(one))
		same = same && (flag == nil || flag.Usage == own.Usage && flag.Value.Type() == own.Value.Type())
		flag = own
	})
	switch {
	case flag == nil:
		return nil, member.Fault("there is no flag or command %s%s", name,
			settings.DidYouMean(member.Name, c.names(cmd)))
	case !same:
		return nil, member.Fault("%s means different things in %s: put it in the section of the command, such as %s: with "+
			"%s: below it", name, strings.Join(commands, ", "), commands[0], name)
	}
	return flag, nil
}

// names are the flags and subcommands of a command, and at the top the flags of all commands.
func (c *configReader) names(cmd *cobra.Command) (names []string) {
	collect := func(flag *pflag.Flag) {
		if !slices.Contains(noConfigFlags, flag.Name) {
			names = append(names, flag.Name)
		}
	}
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	cmd.Flags().VisitAll(collect)
	cmd.InheritedFlags().VisitAll(collect)
	if cmd == c.root {
		eachCommand(cmd, func(one *cobra.Command) { one.LocalFlags().VisitAll(collect) })
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// eachCommand calls fn for a command and all below it.
func eachCommand(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, fn)
	}
}

// setFlag gives a flag the value of a member. A flag that may be repeated takes a list.
func setFlag(flag *pflag.Flag, member *settings.Member) *settings.Fault {
	values := []settings.Member{*member}
	if member.Kind == settings.List && takesList(flag) {
		values = member.List
	}
	for i := range values {
		value := &values[i]
		if value.Kind != settings.Scalar {
			return value.Value.Fault("%s must be one value, it is %s", flag.Name, value.Shown())
		}
		err := flag.Value.Set(value.Text)
		if flag.Value.Type() == "bool" && (!value.Plain || value.Text != "true" && value.Text != "false") {
			err = errNotBool
		}
		if err != nil {
			return value.Value.Fault("%s %s", shownValue(flag, value.Shown()), invalidValue(flag.Value.Type(), err))
		}
	}
	flag.Changed = true
	return nil
}

// errNotBool says that a word is not true or false: YAML has no other words for them today, and had some before.
var errNotBool = errors.New("not true or false")

// shownValue is a flag with its value for an error, unless it may hold a password.
func shownValue(flag *pflag.Flag, value string) string {
	if isSecret(flag) {
		return flag.Name
	}
	return fmt.Sprintf("%s: %s", flag.Name, value)
}

// apply sets the flags of a command that have no value yet. The section of a command comes before those of the commands
// above it and before the top.
func (c *config) apply(cmd *cobra.Command, origins map[string]origin) error {
	var fault error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if fault != nil || flag.Changed {
			return
		}
		for of := cmd; of != nil && !flag.Changed && fault == nil; of = of.Parent() {
			member, there := c.members[sectionOf(of)][flag.Name]
			if !there {
				continue
			}
			if err := setFlag(flag, member); err != nil {
				fault = err
			}
			origins[flag.Name] = origin{source: fromFile, where: member.Value.String()}
		}
	})
	return fault
}
