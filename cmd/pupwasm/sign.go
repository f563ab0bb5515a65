package main

import (
	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/host"
)

const signHelp = `Write a signature FILE.wasm.sig beside each module, for hosts that run with --require-signed.

A signature is Ed25519 over the SHA-256 of the file. Keys are PEM files:

  openssl genpkey -algorithm ed25519 -out private.pem
  openssl pkey -in private.pem -pubout -out public.pem`

func newSignCommand(globals *globalOptions) *cobra.Command {
	key := ""
	cmd := &cobra.Command{
		Use:               "sign --key PRIVATE.pem FILE.wasm...",
		Short:             "Sign modules for hosts that require signatures",
		Long:              signHelp,
		Example:           `  pupwasm sign --key private.pem bin/modules/*.wasm`,
		Args:              wantArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeFiles(moduleFiles),
		RunE:              func(_ *cobra.Command, args []string) error { return runSign(globals, key, args) },
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	cmd.Flags().StringVar(&key, "key", "", "Ed25519 private `key`, a PEM file")
	flagFiles(cmd.Flags(), "key", pemFiles)
	return cmd
}

func runSign(globals *globalOptions, path string, files []string) error {
	if path == "" {
		return usagef("--key names the private key to sign with: 'openssl genpkey -algorithm ed25519 -out private.pem' " +
			"makes one")
	}
	key, err := host.ReadPrivateKey(path)
	if err != nil {
		return &inputError{where: path, err: unwrapPath(err)}
	}
	reports := []signReport{}
	for _, file := range files {
		if err := host.SignFile(key, file); err != nil {
			return &inputError{where: file, err: unwrapPath(err)}
		}
		if err := globals.say("%s", file+host.SignatureSuffix); err != nil {
			return err
		}
		reports = append(reports, signReport{File: file, Signature: file + host.SignatureSuffix})
	}
	return globals.result(reports)
}

// signReport is the JSON form of a signature: two paths.
type signReport struct {
	File      string `json:"file"`
	Signature string `json:"signature"`
}
