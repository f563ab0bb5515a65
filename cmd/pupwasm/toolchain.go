package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/build"
)

const toolchainHelp = `Show and install what 'pupwasm build' compiles with. Both compilers need Go. Modules of TinyGo are some fifty times
smaller than those of Go, start faster and take less fuel.`

func newToolchainCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "toolchain",
		Short: "Show and install compilers for projections",
		Long:  toolchainHelp,
		Example: `  pupwasm toolchain
  pupwasm toolchain install`,
		Annotations: map[string]string{withoutConfig: ""},
	}
	asGroup(cmd)
	list := newToolchainListCommand(globals)
	cmd.RunE = list.RunE
	cmd.AddCommand(list, newToolchainInstallCommand(globals))
	return cmd
}

func newToolchainListCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "Show the compilers that are there",
		Example:     `  pupwasm toolchain list`,
		Args:        wantArgs(cobra.NoArgs),
		Annotations: map[string]string{withoutConfig: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showToolchain(cmd.Context(), globals)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func newToolchainInstallCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install TinyGo on Debian, unless it is there",
		Long: `Build TinyGo from its source into pupwasm's cache folder, and install the Debian packages that it needs, which
takes root or sudo. It is built for the Go release that the current folder selects, and takes some minutes. On other
systems install it as https://tinygo.org/getting-started/install/ says.`,
		Example:     `  pupwasm toolchain install`,
		Args:        wantArgs(cobra.NoArgs),
		Annotations: map[string]string{withoutConfig: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := build.InstallTinyGo(cmd.Context(), globals.in, globals.errs, globals.errs); err != nil {
				return err
			}
			return showToolchain(cmd.Context(), globals)
		},
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

func showToolchain(ctx context.Context, globals *globalOptions) error {
	found := build.Toolchain(ctx)
	if globals.json {
		return globals.result(found)
	}
	show := func(name, version, path, none string) {
		if version == "" {
			fmt.Fprintf(globals.out, "%-8s none: %s\n", name, none)
			return
		}
		fmt.Fprintf(globals.out, "%-8s %s, %s\n", name, strings.TrimPrefix(version, "go"), printable(cmp.Or(path, "?")))
	}
	show("Go", found.Go, found.GoPath, "install it (https://go.dev/doc/install), both compilers need it")
	show("TinyGo", found.TinyGo, found.TinyGoPath,
		"'pupwasm toolchain install' installs it on Debian, elsewhere see https://tinygo.org/getting-started/install/")
	return nil
}
