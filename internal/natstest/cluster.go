//go:build unix

// Package natstest starts private servers of NATS with JetStream: one, or a cluster. Each node is a process of its own,
// with a folder and ports of its own, and ends with the process that started it, also when that is killed. It is this
// program again (see node.go), so that nothing has to be installed.
//
//	cluster := natstest.StartCluster(t, 3)
//	cluster.URL()      // of all nodes, for clients
//	cluster.Kill(0)    // as a crash would
//	cluster.Restart(0)
//
// It is for tests and demonstrations: a program that imports it links the server.
package natstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guarded"
)

// Cluster is a number of nodes, or a server alone. One goroutine may use it at a time.
type Cluster struct {
	nodes []*node
}

type node struct {
	*guarded.Process

	name                     string
	clients, routes, monitor int // ports
	running                  bool
}

// folderPrefix begins the names of data folders.
const folderPrefix = "pupwasm-nats"

// StartCluster starts nodes, waits until they are ready, and stops them when the test ends. Settings are lines of the
// server's configuration, for each node.
func StartCluster(t testing.TB, nodes int, settings ...string) *Cluster {
	t.Helper()
	cluster, err := Start(nodes, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	return cluster
}

// Start is [StartCluster] for programs, which stop the cluster.
func Start(nodes int, settings ...string) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	ports, err := freePorts(3 * nodes)
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		process, err := guarded.New(folderPrefix, true)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &node{
			Process: process, name: fmt.Sprintf("n%d", i+1),
			clients: ports[3*i], routes: ports[3*i+1], monitor: ports[3*i+2],
		})
	}
	for _, n := range c.nodes {
		if err := os.WriteFile(n.config(), []byte(c.configOf(n, settings)), 0o600); err != nil {
			return nil, fmt.Errorf("writing the configuration of a node: %w", err)
		}
		if err := n.start(); err != nil {
			return nil, err
		}
	}
	return c, c.WaitReady()
}

// freePorts returns ports on 127.0.0.1 that nobody has now. They are below those that systems choose for clients and for
// others who look for a free one, so that nobody else gets the port of a node that is down.
func freePorts(count int) (ports []int, err error) {
	const first, last, triesMax = 10_000, 32_000, 1000
	for range triesMax {
		port := first + rand.N(last-first)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close() // at the end, so that none is found twice
		if ports = append(ports, port); len(ports) == count {
			return ports, nil
		}
	}
	return nil, errors.New("no ports are free on 127.0.0.1")
}

// configOf is the configuration of a node.
func (c *Cluster) configOf(of *node, settings []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: %s\nhost: 127.0.0.1\nport: %d\nhttp: 127.0.0.1:%d\n", of.name, of.clients, of.monitor)
	fmt.Fprintf(&b, "jetstream { store_dir: %q, max_file_store: 4GB, max_memory_store: 256MB }\n", of.Data())
	if len(c.nodes) > 1 {
		routes := make([]string, len(c.nodes))
		for i, other := range c.nodes {
			routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", other.routes)
		}
		fmt.Fprintf(&b, "cluster { name: test, host: 127.0.0.1, port: %d, routes: [%s] }\n", of.routes,
			strings.Join(routes, ", "))
	}
	for _, line := range settings {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func (n *node) config() string { return filepath.Join(n.Folder, "node.conf") }

// start starts the process.
func (n *node) start() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if err := n.Start("KILL", "/usr/bin/env", nodeVariable+"="+n.config(), program); err != nil {
		return err
	}
	n.running = true
	return nil
}

// ready asks the node whether it takes clients and has all of its streams as they are in the cluster.
func (n *node) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", n.monitor), nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("node %s is not ready: %s: %s (%w)", n.name, response.Status, text, err)
	}
	return nil
}

// URLs returns the URL of each node.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", n.clients)
	}
	return urls
}

// URL names all nodes, as clients take it.
func (c *Cluster) URL() string { return strings.Join(c.URLs(), ",") }

// Kill ends a node at once, as a crash would.
func (c *Cluster) Kill(i int) {
	if n := c.nodes[i]; n.running {
		n.running = false
		n.Kill()
	}
}

// Restart starts a node that was killed, with the data that it had. It does not wait: see WaitReady.
func (c *Cluster) Restart(i int) error {
	if c.nodes[i].running {
		return nil
	}
	return c.nodes[i].start()
}

// WaitReady waits until all nodes that run are ready. A cluster needs most of its nodes for that.
func (c *Cluster) WaitReady() error {
	for _, n := range c.nodes {
		if !n.running {
			continue
		}
		if err := n.Await(n.ready); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all nodes and deletes their data.
func (c *Cluster) Stop() {
	for i, n := range c.nodes {
		c.Kill(i)
		os.RemoveAll(n.Folder)
	}
}
