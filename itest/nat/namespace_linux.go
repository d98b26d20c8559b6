package nat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// errDown is returned by what is done in a lab that is down.
var errDown = errors.New("nat: the lab is down")

// A namespace is a network namespace, and the one thread that is in it. It lasts
// as long as the thread, or a socket or program that comes from it.
type namespace struct {
	tid  int // of the thread: iproute2 takes it for the name of the namespace
	work chan func()
	stop chan struct{} // closed when the thread is to end
	done chan struct{} // closed when it has
}

// newNamespace makes a namespace, without IPv6, in which only lo is up.
func newNamespace() (*namespace, error) {
	n := &namespace{work: make(chan func()), stop: make(chan struct{}), done: make(chan struct{})}
	made := make(chan error, 1)
	go n.run(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("a new network namespace: %w", err)
	}
	if err := errors.Join(n.noIPv6(), n.ip("link set lo up")); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// run is the thread.
func (n *namespace) run(made chan<- error) {
	runtime.LockOSThread() // for ever: the thread ends with the goroutine
	if unix.Gettid() == unix.Getpid() {
		// But the main thread never ends. Another one does, and cannot be this
		// one before it is free again.
		go n.run(made)
		<-n.done
		runtime.UnlockOSThread()
		return
	}
	defer close(n.done)
	n.tid = unix.Gettid()
	err := unix.Unshare(unix.CLONE_NEWNET)
	made <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-n.work:
			f()
		case <-n.stop:
			return
		}
	}
}

// close ends the thread.
func (n *namespace) close() {
	close(n.stop)
	<-n.done
}

// do runs f in the namespace: the sockets that it opens and the programs that it
// starts, without a goroutine of its own, belong there. One f runs at a time.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case n.work <- func() { result <- f() }:
		return <-result
	case <-n.done:
		return errDown
	}
}

// ip runs commands of iproute2 in the namespace, in one go.
func (n *namespace) ip(commands ...string) error {
	return n.feed(commands, "ip", "-batch", "-")
}

// iptables changes the rules of the tables that the lines name.
func (n *namespace) iptables(lines ...string) error {
	return n.feed(lines, "iptables-restore", "-w", "--noflush")
}

// feed runs a program in the namespace, with lines as its standard input.
func (n *namespace) feed(lines []string, program string, args ...string) error {
	return n.do(func() error {
		cmd := exec.Command(program, args...) //nolint:gosec // one of the two above
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s; it was given %q", program, err, bytes.TrimSpace(out), lines)
		}
		return nil
	})
}

// set sets a parameter of the kernel to 1 for the namespace, by its path below
// /proc/sys/net.
func (n *namespace) set(path string) error {
	return n.do(func() error { return os.WriteFile("/proc/sys/net/"+path, []byte("1"), 0) })
}

// noIPv6 keeps addresses out that the lab knows nothing of.
func (n *namespace) noIPv6() error {
	for _, which := range []string{"all", "default"} {
		err := n.set("ipv6/conf/" + which + "/disable_ipv6")
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return err
		}
	}
	return nil
}
