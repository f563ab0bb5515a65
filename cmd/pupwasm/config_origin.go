package main

import (
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/relay/jetstream"
)

// origin is where the value of a flag comes from.
type origin struct {
	source string
	where  string // the variable, or the place in the file
}

const (
	fromFlag     = "flag"
	fromVariable = "variable"
	fromFile     = "file"
	fromDefault  = "default"
)

// settle gives the flags of a command that are not on its line the values of their variables, and then those of the
// file.
func (o *globalOptions) settle(cmd *cobra.Command) error {
	cmd.InheritedFlags() // adds them to the flags of the command
	if o.origins == nil {
		o.origins = map[string]origin{}
		cmd.Flags().Visit(func(flag *pflag.Flag) { o.origins[flag.Name] = origin{source: fromFlag} })
	}
	if err := flagsFromEnvironment(cmd.Flags(), o.origins); err != nil {
		return err
	}
	if _, without := cmd.Annotations[withoutConfig]; without {
		return nil
	}
	return o.applyConfig(cmd)
}

// applyConfig gives the flags of a command that have no value yet those of the file.
func (o *globalOptions) applyConfig(cmd *cobra.Command) error {
	path, err := o.findConfig()
	if err != nil {
		return err
	}
	if o.file, err = o.readConfig(path); err == nil {
		err = o.file.apply(cmd, o.origins)
	}
	return configUsage(path, err)
}

// configUsage makes an error of reading the file of flags one of usage.
func configUsage(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case isMissing(err):
		return usagef("the file %s of --config or PUPWASM_CONFIG does not exist", path)
	}
	return usagef("%v", err)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// flagInText finds flags in the text of an error.
var flagInText = regexp.MustCompile(`--([a-z][a-z-]*)`)

// located puts the place in front of an error of usage about a flag that is set in the file.
func (o *globalOptions) located(err error) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	for _, match := range flagInText.FindAllStringSubmatch(usage.message, -1) {
		if from := o.origins[match[1]]; from.source == fromFile {
			return usagef("%s: %s", from.where, usage.message)
		}
	}
	return err
}

// secretAnnotation marks flags that may hold a password.
const secretAnnotation = "secret"

// asSecret marks a flag whose value may hold a password. show returns the value without it.
func asSecret(flags *pflag.FlagSet, flag, kind string) {
	_ = flags.SetAnnotation(flag, secretAnnotation, []string{kind}) // fails only for a flag that is not there
}

// The kinds of secrets.
const (
	secretDatabase = "database" // the URL of a database, with its password
	secretHook     = "hook"     // a URL to call, of which any part may be a password; or a program
	secretTargets  = "targets"  // where messages go: a list, see targetList
	secretNATS     = "nats"     // URLs of NATS servers, with passwords or tokens
)

func isSecret(flag *pflag.Flag) bool { return flag.Annotations[secretAnnotation] != nil }

// withoutSecret returns a flag's value without its password, and reports whether it had one.
func withoutSecret(flag *pflag.Flag, value string) (shown string, had bool) {
	kind := flag.Annotations[secretAnnotation]
	switch {
	case kind == nil || value == "":
		return value, false
	case kind[0] == secretDatabase:
		at, err := parseTarget(flag.Name, value)
		if err != nil {
			return "(cannot be read)", true
		}
		if at.String() == "" {
			return value, false
		}
		return at.String(), at.String() != value
	case kind[0] == secretTargets:
		return shownTargets(value)
	case kind[0] == secretNATS:
		if shown, valid := jetstream.Shown(value); valid {
			return shown, strings.Contains(value, "@")
		}
		return "(cannot be read)", true
	}
	to, err := url.Parse(value)
	if err != nil || to.Host == "" {
		return value, false
	}
	shown = to.Scheme + "://" + to.Host
	return shown + "/…", strings.Trim(strings.TrimPrefix(value, shown), "/") != ""
}

// valuesIn are the values of a member: one, or those of a list.
func valuesIn(member *settings.Member) []settings.Member {
	if member.Kind == settings.List {
		return member.List
	}
	return []settings.Member{*member}
}

// warnOfReaders warns of each password in a file that every user of the machine can read.
func (o *globalOptions) warnOfReaders(cmd *cobra.Command) {
	if o.file == nil || !readableByAll(o.file.path) {
		return
	}
	type secret struct {
		at       settings.Place
		variable string
	}
	var secrets []secret
	for _, members := range o.file.members {
		for name, member := range members {
			flag := cmd.Flag(name)
			if flag == nil {
				continue
			}
			for _, value := range valuesIn(member) {
				if _, had := withoutSecret(flag, value.Text); had {
					secrets = append(secrets, secret{value.Value, environmentNames(flag)[0]})
				}
			}
		}
	}
	slices.SortFunc(secrets, func(a, b secret) int { return cmp.Compare(a.at.Line, b.at.Line) })
	for _, s := range secrets {
		o.log.Warn().Str("at", s.at.String()).Msg("the file has a password and every user can read it: let only " +
			"the user that runs pupwasm read it, or set " + s.variable + " instead")
	}
}
