//go:build unix

// Package guarded runs servers of others, such as a database's, that are private to this process: each has its own folder
// and port, and ends with the process that started it, also when that is killed.
package guarded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server.
type Process struct {
	Folder string              // of its data, its log and its socket
	Owner  *syscall.Credential // whom it runs as; nil for the user of this process

	life  io.Closer // the guard stops the server when this closes
	guard *exec.Cmd
}

// New prepares a process with a folder of its own, named after prefix, in memory if that is asked for and has room. Servers
// that refuse to run as root run as one of the accounts then, the first that there is; others name none. The caller stops
// it.
func New(prefix string, inMemory bool, accounts ...string) (*Process, error) {
	owner, err := unprivileged(accounts)
	if err != nil {
		return nil, err
	}
	place := ""
	if inMemory {
		place = memory(prefix)
	}
	p := &Process{Owner: owner}
	return p, p.makeFolder(place, prefix)
}

// Beside prepares another process with a folder in the same place, and the same owner.
func (p *Process) Beside(prefix string) (*Process, error) {
	other := &Process{Owner: p.Owner}
	return other, other.makeFolder(filepath.Dir(p.Folder), prefix)
}

// makeFolder makes the folder. Its name has the number of this process in it, so that folders of processes that were
// killed are found.
func (p *Process) makeFolder(place, prefix string) (err error) {
	if p.Folder, err = os.MkdirTemp(place, fmt.Sprintf("%s-%d-*", prefix, os.Getpid())); err != nil {
		return fmt.Errorf("creating a data folder: %w", err)
	}
	if p.Owner != nil {
		if err := os.Chown(p.Folder, int(p.Owner.Uid), int(p.Owner.Gid)); err != nil {
			return fmt.Errorf("handing the data folder over: %w", err)
		}
	}
	return nil
}

// memory is a folder in memory with room for the data of a few servers, or "" for one on the disk: tests make files and
// delete them all the time.
func memory(prefix string) string {
	const folder, bytesMin = "/dev/shm", 8 << 30
	var free syscall.Statfs_t
	if syscall.Statfs(folder, &free) != nil || free.Bavail*uint64(free.Bsize) < bytesMin {
		return ""
	}
	sweep(folder, prefix)
	return folder
}

// sweep removes what killed processes have left in memory.
func sweep(folder, prefix string) {
	left, _ := filepath.Glob(filepath.Join(folder, prefix+"-*-*"))
	for _, path := range left {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(path), prefix+"-%d-", &pid)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			os.RemoveAll(path)
		}
	}
}

// unprivileged returns whom to run a server as.
func unprivileged(accounts []string) (*syscall.Credential, error) {
	if os.Getuid() != 0 || len(accounts) == 0 {
		return nil, nil //nolint:nilnil // no credential means: as we are
	}
	for _, name := range accounts {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}, nil
	}
	return nil, fmt.Errorf("the server does not run as root and there is none of the users %s", strings.Join(accounts, ", "))
}

// script runs the server as a child and ends it when standard input closes, which the kernel does when this process is
// gone for whatever reason.
const script = `
"$@" >>"$LOG" 2>&1 &
server=$!
(cat >/dev/null; kill -"$SIGNAL" $server 2>/dev/null) <&3 &
wait $server
`

// Start starts the server, also again after Kill, which ends it by a signal such as "QUIT". Its output goes to the log.
func (p *Process) Start(signal, program string, args ...string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	defer read.Close()
	p.guard = p.Command("/bin/sh", append([]string{"-c", script, "guard", program}, args...)...)
	p.guard.Env = append(os.Environ(), "SIGNAL="+signal, "LOG="+p.logFile())
	p.guard.ExtraFiles = []*os.File{read}
	p.life = write
	if err := p.guard.Start(); err != nil {
		write.Close()
		return fmt.Errorf("starting %s: %w", filepath.Base(program), err)
	}
	return nil
}

// Await waits until the server is ready.
func (p *Process) Await(ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(p.logFile())
			return fmt.Errorf("the server does not answer: %w: %s", err, log)
		}
	}
}

// Kill ends the server at once, as a crash would.
func (p *Process) Kill() {
	p.life.Close()
	_ = p.guard.Wait()
}

// Stop ends the server and removes its folder.
func (p *Process) Stop() {
	p.Kill()
	os.RemoveAll(p.Folder)
}

// Data is the data folder.
func (p *Process) Data() string { return filepath.Join(p.Folder, "data") }

func (p *Process) logFile() string { return filepath.Join(p.Folder, "log") }

// Command is a program that runs as the server does, in its folder.
func (p *Process) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.Folder
	// A group of its own, so that an interrupt on the terminal reaches the tests and not the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.Owner, Setpgid: true}
	return cmd
}

// FreePort returns a TCP port on 127.0.0.1 that nobody has now.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return strconv.Atoi(port)
}
