package connect

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/tasks"
)

// interfaces are the addresses of a machine that a test changes.
type interfaces struct {
	mu    sync.Mutex
	addrs []net.Addr
	err   error
	reads int
}

func (i *interfaces) read() ([]net.Addr, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reads++
	return i.addrs, i.err
}

func (i *interfaces) set(err error, addrs ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.addrs, i.err = nil, err
	for _, a := range addrs {
		ip, n, _ := net.ParseCIDR(a)
		i.addrs = append(i.addrs, &net.IPNet{IP: ip, Mask: n.Mask})
	}
}

// moving runs the job of a node that listens on an address, on a machine with one address.
func moving(t *testing.T, listen string) (*node, *interfaces) {
	t.Helper()
	n := newNode(t)
	n.host.net.listens = []multiaddr.Multiaddr{multiaddr.StringCast(listen)}
	machine, loop := new(interfaces), tasks.NewLoop(n.group)
	machine.set(nil, "127.0.0.1/8", "fe80::1/64", "192.168.1.10/24")
	n.cfg.Interfaces = machine.read
	loop.Add(n.MoveJob())
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, nil) })
	time.Sleep(10 * time.Second)
	synctest.Wait()
	return n, machine
}

const anyQUIC = "/ip4/0.0.0.0/udp/4001/quic-v1"

// A connection from an address that is gone is closed when the machine has another one,
// the silent ones a little later, and relayed ones never. A change that is over before the
// machine has an address again closes nothing that answers.
func TestMove(t *testing.T) { synctest.Test(t, testMove) }

func testMove(t *testing.T) {
	n, machine := moving(t, anyQUIC)
	open := func(i int, local string, answers bool) *conn {
		c := n.host.net.open(calltest.ID(100+i), publicAddr)
		c.local, c.answers = multiaddr.StringCast(local), answers
		return c
	}
	gone := open(0, "/ip4/192.168.1.10/tcp/4001", true)
	alive := open(1, anyQUIC, true)
	silent := open(2, anyQUIC, false)
	relayed := n.host.net.open(calltest.ID(103), relayedAddr)
	check := func(when string, wait time.Duration, want map[*conn]bool) {
		t.Helper()
		time.Sleep(wait)
		synctest.Wait()
		for c, closed := range want {
			if c.IsClosed() != closed {
				t.Errorf("%s: connection %v is closed: %v", when, c.local, c.IsClosed())
			}
		}
	}
	const seen = "/ip4/60.1.0.1/udp/9/quic-v1"
	n.seenAt(0, seen)
	n.host.net.dir = network.DirUnknown
	none := map[*conn]bool{gone: false, alive: false, silent: false, relayed: false}
	check("nothing changes", time.Minute, none)
	if got := n.offered(nil); n.renewSoon.Load() || !slices.Equal(textsOf(got), []string{seen}) {
		t.Errorf("without a change: addresses are asked for: %v, offered: %v", n.renewSoon.Load(), got)
	}
	machine.set(nil, "127.0.0.1/8")
	check("without a network", time.Minute, none)
	machine.set(errors.New("not now"))
	check("without an answer of the system", time.Minute, none)
	machine.set(nil, "192.168.1.10/24")
	check("the address is back", 3*time.Second, map[*conn]bool{gone: false, alive: false, silent: true, relayed: false})
	machine.set(nil, "192.168.7.7/24")
	check("another address", lookInterval, map[*conn]bool{gone: true, alive: false, relayed: false})
	if got := n.offered(nil); !n.renewSoon.Load() || len(got) > 0 {
		t.Errorf("the new public address is asked for: %v; the old one is offered: %v", n.renewSoon.Load(), got)
	}
}

// A host without a socket of the machine is left alone, and reads no addresses but once a
// minute, when another job is due.
func TestMoveInMemory(t *testing.T) { synctest.Test(t, testMoveInMemory) }

func testMoveInMemory(t *testing.T) {
	n, machine := moving(t, "/ip4/50.1.0.1/udp/4001/quic-v1")
	c := n.host.net.open(calltest.ID(100), publicAddr)
	machine.set(nil, "192.168.7.7/24")
	time.Sleep(time.Hour)
	synctest.Wait()
	if c.IsClosed() || machine.reads != 1 {
		t.Errorf("closed: %v, %d reads; want one", c.IsClosed(), machine.reads)
	}
}
