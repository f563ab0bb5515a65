//go:build unix

package natstest

import (
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// nodeVariable has the path of the configuration, in a process that is to be a node.
const nodeVariable = "PUPWASM_NATSTEST_NODE"

// A node is this program again, as a process of its own, so that it can be killed. It never gets to main, nor to the tests.
func init() {
	if path := os.Getenv(nodeVariable); path != "" {
		fmt.Fprintln(os.Stderr, serve(path))
		os.Exit(1)
	}
}

// serve runs a node until the process is killed.
func serve(path string) error {
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		return fmt.Errorf("reading the configuration of the node: %w", err)
	}
	options.NoSigs = true
	node, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("preparing the node: %w", err)
	}
	node.ConfigureLogger()
	node.Start()
	node.WaitForShutdown()
	return errors.New("the node has ended by itself")
}
