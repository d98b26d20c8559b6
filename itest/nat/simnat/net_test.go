package simnat

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnplug(t *testing.T) {
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind a NAT %v", behind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Net) {
				link := n.Public(bob)
				if behind {
					link = n.NAT(bob, FullCone()).Link(private)
				}
				a, b := open(t, n.Public(ann), 1), open(t, link, 1)
				exchange := func() (there, back string) {
					send(t, b, at(ann, 1), "there")
					there, _ = receive(t, a)
					send(t, a, at(bob, 1), "back")
					back, _ = receive(t, b)
					return there, back
				}
				for _, tc := range []struct {
					do   func()
					want string
				}{{func() {}, "there back"}, {link.Unplug, " "}, {link.Plug, "there back"}} {
					tc.do()
					if there, back := exchange(); there+" "+back != tc.want {
						t.Errorf("%q and %q came, want %q", there, back, tc.want)
					}
				}
			})
		})
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(7, Latency{10 * time.Millisecond, 90 * time.Millisecond})
		defer n.Close()
		center := open(t, n.Public(ann), 1)
		var took []time.Duration
		for i := range 100 {
			addr := netip.AddrFrom4([4]byte{50, byte(i), 0, 1})
			c := open(t, n.Public(addr), 1)
			var ways []time.Duration
			for range 2 {
				start := time.Now()
				send(t, center, at(addr, 1), "there")
				receive(t, c)
				ways = append(ways, time.Since(start))
				start = time.Now()
				send(t, c, at(ann, 1), "back")
				receive(t, center)
				ways = append(ways, time.Since(start))
			}
			if slices.Min(ways) != slices.Max(ways) {
				t.Fatalf("one pair takes %v", ways)
			}
			took = append(took, ways[0])
		}
		slices.Sort(took)
		if took[0] < 10*time.Millisecond || took[99] > 90*time.Millisecond {
			t.Errorf("from %v to %v", took[0], took[99])
		}
		if took[25] > 40*time.Millisecond || took[75] < 60*time.Millisecond {
			t.Errorf("quartiles are %v and %v, of an even 10 to 90 ms", took[25], took[75])
		}
	})
}

// traceOf is what happens on a Net with a seed when a machine behind a symmetric
// NAT sends to twenty others.
func traceOf(t *testing.T, seed uint64) (trace string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(seed, Latency{10 * time.Millisecond, 90 * time.Millisecond})
		defer n.Close()
		inside := open(t, n.NAT(router, Symmetric()).Link(private), 4001)
		var b strings.Builder
		for i := range 20 {
			addr := netip.AddrFrom4([4]byte{50, byte(i), 0, 1})
			c := open(t, n.Public(addr), 1)
			start := time.Now()
			send(t, inside, at(addr, 1), "hello")
			_, from := receive(t, c)
			fmt.Fprintln(&b, from, time.Since(start))
		}
		trace = b.String()
	})
	return trace
}

func TestSeed(t *testing.T) {
	if a, b := traceOf(t, 1), traceOf(t, 1); a != b {
		t.Errorf("the same seed, and yet\n%s\n%s", a, b)
	}
	one, two := strings.Fields(traceOf(t, 1)), strings.Fields(traceOf(t, 2))
	for i := range one { // addresses and times by turns
		if one[i] == two[i] {
			t.Errorf("two seeds, and twice %s", one[i])
		}
	}
}

// checkOpen fails unless what c sends arrives, and is answered.
func checkOpen(t *testing.T, c net.PacketConn, n *Net) {
	t.Helper()
	b := open(t, n.Public(bob), 1)
	// The long form of an IPv4 address, as net has it in places.
	if _, err := c.WriteTo([]byte("there"), &net.UDPAddr{IP: net.IP(bob.AsSlice()).To16(), Port: 1}); err != nil {
		t.Fatal(err)
	}
	text, from := receive(t, b)
	if text != "there" {
		t.Fatalf("got %q from %s", text, from)
	}
	send(t, b, from, "back")
	if text, _ := receive(t, c); text != "back" {
		t.Error("no answer")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListen(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		for _, link := range []*Link{n.Public(ann), n.NAT(router, FullCone()).Link(private)} {
			c := open(t, link, 4001)
			if _, err := link.Listen(4001); !errors.Is(err, ErrInUse) {
				t.Errorf("twice: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, link, 4001)
			if err := c.Close(); err != nil { // which is not that of its successor
				t.Error(err)
			}
			if _, err := link.Listen(4001); !errors.Is(err, ErrInUse) {
				t.Errorf("twice, after the first was closed twice: %v", err)
			}
			checkOpen(t, again, n)
			free := open(t, link, 0)
			if p := addrPort(free.LocalAddr()); p != at(link.Addr(), firstFreePort) {
				t.Errorf("any port is %s", p)
			}
			open(t, link, 0)
		}
	})
}

func TestFlavourString(t *testing.T) {
	for want, f := range map[string]Flavour{
		"full cone":          FullCone(),
		"address-restricted": AddressRestricted(),
		"port-restricted":    PortRestricted(),
		"symmetric":          {Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent, Timeout: time.Second},
		"address-dependent mapping, endpoint-independent filtering": {Mapping: AddressDependent},
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
