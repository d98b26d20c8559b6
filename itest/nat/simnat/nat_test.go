package simnat

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A remotePort is a socket on the internet of the tests with packets.
type remotePort struct {
	name string
	addr netip.AddrPort
	conn net.PacketConn
}

// remotes are ann:1, ann:2 and bob:1: the same address with another port, and the
// same port of another address.
func remotes(t *testing.T, n *Net) []remotePort {
	t.Helper()
	a, b := n.Public(ann), n.Public(bob)
	return []remotePort{
		{"ann:1", at(ann, 1), open(t, a, 1)},
		{"ann:2", at(ann, 2), open(t, a, 2)},
		{"bob:1", at(bob, 1), open(t, b, 1)},
	}
}

func TestMapping(t *testing.T) {
	for _, tc := range []struct {
		flavour         Flavour
		keeps           bool // the port
		samePort, other bool // shared with another port of the address, with another address
	}{
		{FullCone(), true, true, true},
		{AddressRestricted(), true, true, true},
		{PortRestricted(), true, true, true},
		{Symmetric(), false, false, false},
		{Flavour{Mapping: AddressDependent}, false, true, false},
	} {
		t.Run(tc.flavour.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Net) {
				inside := open(t, n.NAT(router, tc.flavour).Link(private), 4001)
				var seen []netip.AddrPort
				for range 2 { // the second time, all have a mapping
					seen = nil
					for _, r := range remotes(t, n) {
						send(t, inside, r.addr, "hello")
						text, from := receive(t, r.conn)
						if text != "hello" || from.Addr() != router {
							t.Fatalf("%s got %q from %s", r.name, text, from)
						}
						seen = append(seen, from)
						if err := r.conn.Close(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := seen[0].Port() == 4001; got != tc.keeps {
					t.Errorf("inside port 4001 is %s outside", seen[0])
				}
				if got := seen[0] == seen[1]; got != tc.samePort {
					t.Errorf("two ports of one address see %s and %s", seen[0], seen[1])
				}
				if got := seen[0] == seen[2]; got != tc.other {
					t.Errorf("two addresses see %s and %s", seen[0], seen[2])
				}
			})
		})
	}
}

func TestFiltering(t *testing.T) {
	for _, tc := range []struct {
		flavour Flavour
		letsIn  []string // after something was sent to ann:1
	}{
		{FullCone(), []string{"ann:1", "ann:2", "bob:1"}},
		{AddressRestricted(), []string{"ann:1", "ann:2"}},
		{PortRestricted(), []string{"ann:1"}},
		{Symmetric(), []string{"ann:1"}},
		{Flavour{Mapping: AddressAndPortDependent}, []string{"ann:1", "ann:2", "bob:1"}},
	} {
		t.Run(tc.flavour.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Net) {
				inside := open(t, n.NAT(router, tc.flavour).Link(private), 4001)
				all := remotes(t, n)
				for _, r := range all {
					send(t, r.conn, at(router, 4001), "unasked")
				}
				if text, from := receive(t, inside); text != "" {
					t.Fatalf("before anything was sent, %q from %s came in", text, from)
				}
				send(t, inside, all[0].addr, "hello")
				_, outside := receive(t, all[0].conn)
				var in []string
				for _, r := range all {
					send(t, r.conn, outside, r.name)
					if text, from := receive(t, inside); text != "" {
						in = append(in, text)
						if from != r.addr {
							t.Errorf("what %s sent came from %s", r.name, from)
						}
					}
				}
				if !slices.Equal(in, tc.letsIn) {
					t.Errorf("lets in %v, want %v", in, tc.letsIn)
				}
			})
		})
	}
}

// Two behind NATs that keep ports, who send to each other's outside address, get
// through, although the first packet is lost: that is a hole punch.
func TestPunch(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		other := netip.MustParseAddr("61.1.0.1")
		a := open(t, n.NAT(router, PortRestricted()).Link(private), 4001)
		b := open(t, n.NAT(other, PortRestricted()).Link(private), 4002)
		send(t, a, at(other, 4002), "first")
		if text, _ := receive(t, b); text != "" {
			t.Fatalf("%q came in unasked", text)
		}
		send(t, b, at(router, 4001), "second")
		if text, from := receive(t, a); text != "second" || from != at(other, 4002) {
			t.Fatalf("got %q from %s", text, from)
		}
		send(t, a, at(other, 4002), "third")
		if text, from := receive(t, b); text != "third" || from != at(router, 4001) {
			t.Fatalf("got %q from %s", text, from)
		}
	})
}

func TestMappingEnds(t *testing.T) {
	flavour := Symmetric()
	flavour.Timeout = 30 * time.Second
	for _, tc := range []struct {
		name string
		use  func(send, answer func())
		same bool // the port, 50 s after the first packet
		in   bool // what is sent to it
	}{
		{"silence", func(func(), func()) { time.Sleep(50 * time.Second) }, false, false},
		{"a packet out", func(send, _ func()) {
			time.Sleep(25 * time.Second)
			send()
			time.Sleep(25 * time.Second)
		}, true, true},
		{"a packet in", func(_, answer func()) {
			time.Sleep(25 * time.Second)
			answer()
			time.Sleep(25 * time.Second)
		}, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Net) {
				inside := open(t, n.NAT(router, flavour).Link(private), 4001)
				a := open(t, n.Public(ann), 1)
				hello := func() (outside netip.AddrPort) {
					send(t, inside, at(ann, 1), "hello")
					_, outside = receive(t, a)
					return outside
				}
				before := hello()
				answer := func() bool {
					send(t, a, before, "answer")
					text, _ := receive(t, inside)
					return text == "answer"
				}
				tc.use(func() { hello() }, func() {
					if !answer() {
						t.Fatal("the answer did not come")
					}
				})
				if got := answer(); got != tc.in {
					t.Errorf("after %s, an answer comes: %v", tc.name, got)
				}
				if after := hello(); (after == before) != tc.same {
					t.Errorf("after %s, %s is %s", tc.name, before, after)
				}
			})
		})
	}
}

func TestDefaultTimeout(t *testing.T) {
	for after, want := range map[time.Duration]string{defaultTimeout - oneWay - 1: "answer", defaultTimeout - oneWay: ""} {
		inBubble(t, func(t *testing.T, n *Net) {
			inside := open(t, n.NAT(router, FullCone()).Link(private), 4001)
			a := open(t, n.Public(ann), 1)
			send(t, inside, at(ann, 1), "hello")
			time.Sleep(after)
			send(t, a, at(router, 4001), "answer")
			if text, _ := receive(t, inside); text != want {
				t.Errorf("after %v, %q comes in, want %q", after+oneWay, text, want)
			}
		})
	}
}

// A port that is free again is given to who wants it next, and is then its own.
func TestPortIsTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		nat := n.NAT(router, PortRestricted())
		first := open(t, nat.Link(private), 4001)
		second := open(t, nat.Link(netip.MustParseAddr("192.168.1.3")), 4001)
		a := open(t, n.Public(ann), 1)
		outside := func(c net.PacketConn) netip.AddrPort {
			send(t, c, at(ann, 1), "hello")
			_, from := receive(t, a)
			return from
		}
		if got := outside(first); got.Port() != 4001 {
			t.Errorf("the first is %s outside", got)
		}
		time.Sleep(defaultTimeout)
		if got := outside(second); got.Port() != 4001 {
			t.Errorf("the second is %s outside", got)
		}
		if got := outside(first); got.Port() == 4001 {
			t.Errorf("then the first is %s outside", got)
		}
		send(t, a, at(router, 4001), "answer")
		if text, _ := receive(t, second); text != "answer" {
			t.Error("the second has lost its port")
		}
	})
}

func TestMappingLastsForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		flavour := Symmetric()
		flavour.Timeout = -1
		inside := open(t, n.NAT(router, flavour).Link(private), 4001)
		a := open(t, n.Public(ann), 1)
		send(t, inside, at(ann, 1), "hello")
		_, outside := receive(t, a)
		time.Sleep(1000 * time.Hour)
		send(t, a, outside, "answer")
		if text, _ := receive(t, inside); text != "answer" {
			t.Error("nothing came")
		}
	})
}

func TestRenumber(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		nat := n.NAT(router, FullCone())
		inside := open(t, nat.Link(private), 4001)
		a := open(t, n.Public(ann), 1)
		send(t, inside, at(ann, 1), "hello")
		_, before := receive(t, a)
		now := netip.MustParseAddr("60.2.0.1")
		nat.Renumber(now)
		if nat.Public() != now {
			t.Errorf("the address is %s", nat.Public())
		}
		for _, to := range []netip.AddrPort{before, at(now, before.Port())} {
			send(t, a, to, "unasked")
			if text, _ := receive(t, inside); text != "" {
				t.Errorf("what is sent to %s comes in", to)
			}
		}
		send(t, inside, at(ann, 1), "hello")
		if _, after := receive(t, a); after.Addr() != now {
			t.Errorf("it is %s outside", after)
		}
	})
}

// Machines behind one NAT reach each other at their private addresses, and, as it
// lets in what comes from its own address, at the outside ones.
func TestBehindOneNAT(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		nat := n.NAT(router, FullCone())
		neighbour := netip.MustParseAddr("192.168.1.3")
		a, b := open(t, nat.Link(private), 4001), open(t, nat.Link(neighbour), 4001)
		send(t, a, at(neighbour, 4001), "near")
		if text, from := receive(t, b); text != "near" || from != at(private, 4001) {
			t.Errorf("got %q from %s", text, from)
		}
		var outside [2]netip.AddrPort
		c := open(t, n.Public(ann), 1)
		for i, conn := range []net.PacketConn{a, b} {
			send(t, conn, at(ann, 1), "hello")
			_, outside[i] = receive(t, c)
		}
		if outside[0] == outside[1] {
			t.Fatalf("both are %s outside", outside[0])
		}
		send(t, a, outside[1], "around")
		if text, from := receive(t, b); text != "around" || from != outside[0] {
			t.Errorf("got %q from %s, want it from %s", text, from, outside[0])
		}
	})
}

// A private address leads nowhere from the internet, nor from behind another NAT.
func TestPrivateAddressesAreNotRouted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Net) {
		inside := open(t, n.NAT(router, FullCone()).Link(private), 4001)
		a := open(t, n.Public(ann), 1)
		b := open(t, n.NAT(bob, FullCone()).Link(netip.MustParseAddr("192.168.1.3")), 4001)
		for _, c := range []net.PacketConn{a, b} {
			send(t, c, at(private, 4001), "astray")
		}
		if text, from := receive(t, inside); text != "" {
			t.Errorf("got %q from %s", text, from)
		}
	})
}

// What comes in is what the filter says, whatever was sent before, and when.
func TestFilteringAfterAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A bubble has no deadline, for which rapid asks a *testing.T.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			const lasts = 10 * time.Second
			flavour := Flavour{Filtering: Dependence(rapid.IntRange(0, 2).Draw(rt, "filtering")), Timeout: lasts}
			n := New(1, Latency{})
			defer n.Close()
			inside := open(t, n.NAT(router, flavour).Link(private), 4001)
			all := remotes(t, n)
			passed := make(map[netip.AddrPort]time.Time)
			for range rapid.IntRange(1, 15).Draw(rt, "steps") {
				r := rapid.SampledFrom(all).Draw(rt, "remote")
				part := flavour.Filtering.part(r.addr)
				if rapid.Bool().Draw(rt, "out") {
					send(t, inside, r.addr, "out")
					passed[part] = time.Now()
				} else {
					last, ever := passed[part]
					want := ever && time.Since(last) < lasts
					if want {
						passed[part] = time.Now()
					}
					send(t, r.conn, at(router, 4001), "in")
					if text, _ := receive(t, inside); (text == "in") != want {
						rt.Fatalf("%s comes in from %s: %v", flavour, r.name, text == "in")
					}
				}
				time.Sleep(time.Duration(rapid.IntRange(0, 6).Draw(rt, "seconds")) * time.Second)
			}
			if err := inside.Close(); err != nil {
				rt.Fatal(err)
			}
			for _, r := range all {
				if err := r.conn.Close(); err != nil {
					rt.Fatal(err)
				}
			}
		})
	})
}
