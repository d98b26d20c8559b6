package connect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

const (
	lanHere   = "/ip4/192.168.1.10/udp/4001/quic-v1"
	lanThere  = "/ip4/192.168.1.11/udp/4001/quic-v1"
	lanOther  = "/ip4/192.168.2.11/udp/4001/quic-v1"
	homeSeen  = "/ip4/60.1.0.1/udp/5000/quic-v1"
	otherSeen = "/ip4/61.1.0.1/udp/5000/quic-v1"
)

// atHome returns a node in a local network that public peers see at homeSeen.
func atHome(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.host.addrs = roomtest.Addrs(lanHere, "/ip4/127.0.0.1/udp/4001/quic-v1", relayedAddr, homeSeen, "/ip4/169.254.7.7/udp/4001/quic-v1")
	n.cfg.Interfaces = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(192, 168, 1, 10), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)}}, nil
	}
	n.host.net.dir = network.DirOutbound
	n.host.net.listens = roomtest.Addrs("/ip4/0.0.0.0/udp/4001/quic-v1")
	c := n.host.net.open(witness, "/ip4/40.1.0.9/udp/4001/quic-v1")
	c.local = multiaddr.StringCast("/ip4/0.0.0.0/udp/4001/quic-v1")
	n.cfg.Reach.Handle(event.EvtPeerIdentificationCompleted{Peer: witness, Conn: c, ObservedAddr: multiaddr.StringCast(homeSeen)})
	if seen := n.cfg.Reach.SeenAt(); len(seen) != 1 || seen[0].String() != "60.1.0.1" {
		t.Fatalf("seen at %v", seen)
	}
	return n
}

// dials makes dials of local addresses succeed, or fail, and returns what is dialled.
func (n *node) dials(succeed bool) *[]multiaddr.Multiaddr {
	var dialled []multiaddr.Multiaddr
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
		dialled = append(dialled, addrs...)
		if !direct || !succeed {
			return "", unreachable(ctx, addrs, time.Second)
		}
		return addrs[0].String(), nil
	}
	return &dialled
}

// meets runs one side of an exchange, and the other side as a script.
func (n *node) meets(t *testing.T, asks bool, script func(other net.Conn)) error {
	t.Helper()
	ours, theirs := net.Pipe()
	side := n.answerLAN
	if asks {
		side = n.askLAN
	}
	ended := make(chan error, 1)
	go func() {
		ended <- side(t.Context(), target, ours)
		_ = ours.Close()
	}()
	script(theirs)
	_ = theirs.Close()
	return <-ended
}

func tells(t *testing.T, to io.Writer, addrs ...string) {
	t.Helper()
	if _, err := to.Write(message(roomtest.Addrs(addrs...))); err != nil {
		t.Error(err)
	}
}

// hears reads a message, and fails unless it has these addresses.
func hears(t *testing.T, from io.Reader, want ...string) {
	t.Helper()
	got, err := readAddrs(from)
	if err != nil || len(got) != len(want) {
		t.Errorf("heard %v, %v; want %v", got, err, want)
		return
	}
	for i, w := range want {
		if got[i].String() != w {
			t.Errorf("heard %v, want %v", got, want)
		}
	}
}

// Two peers that are seen at the same address are connected in their local network. Each
// tells the addresses of its own network alone, and dials those of its own network alone.
func TestLAN(t *testing.T) {
	for name, c := range map[string]struct {
		asks, works bool
		script      func(*testing.T, net.Conn)
		dialled     []string
		err         error
	}{
		"asks": {true, true, func(t *testing.T, other net.Conn) {
			hears(t, other, "/ip4/60.1.0.1")
			tells(t, other, lanThere, lanOther, "/ip4/10.0.0.1/tcp/22", lanHere, "/ip4/127.0.0.1/tcp/22", publicAddr)
		}, []string{lanThere}, nil},
		"asks, is not in that home": {true, true, func(t *testing.T, other net.Conn) {
			hears(t, other, "/ip4/60.1.0.1")
			tells(t, other)
		}, nil, nil},
		"asks, the other has a firewall": {true, false, func(t *testing.T, other net.Conn) {
			hears(t, other, "/ip4/60.1.0.1")
			tells(t, other, lanThere)
			hears(t, other, lanHere)
		}, []string{lanThere}, nil},
		"asks, and is told of another network alone": {true, true, func(t *testing.T, other net.Conn) {
			hears(t, other, "/ip4/60.1.0.1")
			tells(t, other, lanOther)
			hears(t, other, lanHere)
		}, nil, nil},
		"answers": {false, true, func(t *testing.T, other net.Conn) {
			tells(t, other, "/ip4/61.1.0.1", "/ip4/60.1.0.1")
			hears(t, other, lanHere)
		}, nil, nil},
		"answers, and has a firewall": {false, true, func(t *testing.T, other net.Conn) {
			tells(t, other, "/ip4/60.1.0.1")
			hears(t, other, lanHere)
			tells(t, other, lanThere)
		}, []string{lanThere}, nil},
		"answers a peer in another home": {false, true, func(t *testing.T, other net.Conn) {
			tells(t, other, "/ip4/61.1.0.1")
			hears(t, other)
		}, nil, nil},
		"answers a peer that is told to dial elsewhere": {false, true, func(t *testing.T, other net.Conn) {
			tells(t, other, "/ip4/60.1.0.1")
			hears(t, other, lanHere)
			tells(t, other, lanOther, "/ip4/127.0.0.1/tcp/22", otherSeen)
		}, nil, errNoLAN},
		"answers what is too long": {false, true, func(_ *testing.T, other net.Conn) {
			_, _ = other.Write([]byte{maxLANAddrs + 1})
		}, nil, errLAN},
		"answers one that is too long": {false, true, func(_ *testing.T, other net.Conn) {
			_, _ = other.Write([]byte{1, maxLANAddr + 1})
		}, nil, errLAN},
		"answers what is cut off": {false, true, func(_ *testing.T, other net.Conn) {
			_, _ = other.Write([]byte{1, 5, 1})
		}, nil, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := atHome(t)
				dialled := n.dials(c.works)
				err := n.meets(t, c.asks, func(other net.Conn) { c.script(t, other) })
				if !errors.Is(err, c.err) {
					t.Errorf("ended with %v, want %v", err, c.err)
				}
				if !slices.EqualFunc(*dialled, roomtest.Addrs(c.dialled...), multiaddr.Multiaddr.Equal) {
					t.Errorf("dialled %v, want %v", *dialled, c.dialled)
				}
			})
		})
	}
}

// A connection to a local address that replaces a relayed one is direct, not punched.
func TestLANIsDirect(t *testing.T) { synctest.Test(t, testLANIsDirect) }

func testLANIsDirect(t *testing.T) {
	n := atHome(t)
	n.host.net.open(target, relayedAddr)
	go func() {
		time.Sleep(time.Second)
		n.host.net.open(target, lanThere)
	}()
	if got, err := n.To(t.Context(), target, 5*time.Second); err != nil || got.Via != Direct || got.Addr.String() != lanThere {
		t.Errorf("%+v, %v; want it direct", got, err)
	}
}

// At most so many exchanges run at a time, and none with a peer that is connected directly.
func TestLANBounds(t *testing.T) { synctest.Test(t, testLANBounds) }

func testLANBounds(t *testing.T) {
	n := atHome(t)
	open := func(addr string) (network.Stream, network.Stream) {
		return roomtest.NewStream(roomtest.NewConn(target, multiaddr.StringCast(addr)), roomtest.NewConn(n.host.ID(), multiaddr.StringCast(addr)))
	}
	begin := func(addr string) (far network.Stream, began bool) {
		near, far := open(addr)
		return far, n.exchange(func(context.Context) (network.Stream, error) { return near, nil }, n.answerLAN)
	}
	for range lanAtOnce {
		if _, began := begin(relayedAddr); !began {
			t.Fatal("an exchange within the bound is refused")
		}
	}
	if _, began := begin(relayedAddr); began {
		t.Error("an exchange beyond the bound begins")
	}
	time.Sleep(lanTimeout)
	synctest.Wait()
	far, began := begin(publicAddr)
	if !began {
		t.Fatal("peers that say nothing hold their exchanges for good")
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Errorf("an exchange over a direct connection ends with %v", err)
	}
}

func FuzzReadAddrs(f *testing.F) {
	f.Add(message(roomtest.Addrs(lanHere, relayedAddr[:len("/ip4/40.1.0.1/tcp/4001")])))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		addrs, err := readAddrs(bytes.NewReader(in))
		if err != nil {
			return
		}
		again, err := readAddrs(bytes.NewReader(message(addrs)))
		if err != nil || !slices.EqualFunc(addrs, again, multiaddr.Multiaddr.Equal) {
			t.Errorf("%v was read from %x, and %v, %v from what was written", addrs, in, again, err)
		}
	})
}
