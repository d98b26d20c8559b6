package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/relay"
)

// What is said of relays follows from how the search for them has gone.
func TestRelayAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		search relay.Search
		want   string
	}{
		"at the start":               {relay.Search{}, adviceSeeking},
		"one is proposed":            {relay.Search{Ended: true, Proposed: 1}, adviceSeeking},
		"one is met without lookup":  {relay.Search{Proposed: 1}, adviceSeeking},
		"none is announced":          {relay.Search{Ended: true}, adviceNoRelay},
		"none is reached":            {relay.Search{Ended: true, Named: 2, Unreachable: 2}, "None of the relays that were found (2) was reached"},
		"one may be reached":         {relay.Search{Ended: true, Named: 2, Unreachable: 1}, adviceSeeking},
		"proposed again and again":   {relay.Search{Ended: true, Named: 1, Proposed: 9}, adviceFull},
		"met, proposed, all in vain": {relay.Search{Proposed: 9}, adviceFull},
	} {
		if got := relayAdvice(c.search); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A wrong clock is told from the error of a dial, and from no other word of it.
func TestClockAdvice(t *testing.T) { synctest.Test(t, testClockAdvice) }

func testClockAdvice(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	for name, c := range map[string]struct {
		dial error
		want string
	}{
		"the clock is wrong":       {&kaderr.ClockError{Off: -2 * time.Hour, Err: errors.New("bad certificate")}, adviceClock},
		"the name of a peer is so": {errors.New("clock.example does not answer"), adviceJoin},
	} {
		g := Diagnosis{NotReady: &NotReadyError{Dials: map[peer.ID]error{"bob": fmt.Errorf("dialling: %w", c.dial)}}}
		g.ClockOff = clockOff(g.NotReady)
		if got := advice(d, g); len(got) == 0 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is said of UDP follows from what a probe shows, and nothing is if it gets through.
func TestLacksUDP(t *testing.T) {
	servers := make([]netip.AddrPort, minWithoutUDP)
	for name, c := range map[string]struct {
		servers     []netip.AddrPort
		small, full bool
		blocked     bool
		smallMTU    bool
	}{
		"no server":            {nil, false, false, false, false},
		"nothing gets through": {servers, false, false, true, false},
		"of few servers":       {servers[:1], false, false, false, false},
		"small packets do":     {servers[:1], true, false, false, true},
		"all do":               {servers, true, true, false, false},
	} {
		blocked, smallMTU := lacksUDP(c.servers, func([]netip.AddrPort) (bool, bool) { return c.small, c.full })
		if blocked != c.blocked || smallMTU != c.smallMTU {
			t.Errorf("%s: blocked %v, small MTU %v", name, blocked, smallMTU)
		}
	}
}

func TestQUICOf(t *testing.T) {
	at, ok := quicOf([]multiaddr.Multiaddr{
		multiaddr.StringCast("/ip4/1.1.1.1/tcp/1"),
		multiaddr.StringCast("/ip4/192.168.1.1/udp/2/quic-v1"),
		multiaddr.StringCast("/ip4/1.1.1.1/udp/3/quic-v1/p2p/" + aRelay + "/p2p-circuit"),
		multiaddr.StringCast("/ip4/1.1.1.1/udp/4/quic-v1"),
	})
	if !ok || at != netip.MustParseAddrPort("1.1.1.1:4") {
		t.Errorf("%v, %v", at, ok)
	}
	if _, ok := quicOf(nil); ok {
		t.Error("a peer without addresses listens on QUIC")
	}
}

func TestOnlyIPv6(t *testing.T) {
	ip := netip.MustParseAddr
	v4, v6 := multiaddr.StringCast("/ip4/0.0.0.0/tcp/1"), multiaddr.StringCast("/ip6/::/tcp/1")
	for name, c := range map[string]struct {
		machine []netip.Addr
		listens []multiaddr.Multiaddr
		want    bool
	}{
		"IPv6 alone, and IPv4": {[]netip.Addr{ip("2600::1"), ip("127.0.0.1"), ip("fe80::1")}, []multiaddr.Multiaddr{v4}, true},
		"IPv6 alone, and both": {[]netip.Addr{ip("2600::1")}, []multiaddr.Multiaddr{v4, v6}, false},
		"both, and IPv4":       {[]netip.Addr{ip("2600::1"), ip("192.168.1.1")}, []multiaddr.Multiaddr{v4}, false},
		"no address":           {[]netip.Addr{ip("127.0.0.1")}, []multiaddr.Multiaddr{v4}, false},
		"it does not listen":   {[]netip.Addr{ip("2600::1")}, nil, false},
	} {
		if got := onlyIPv6(c.machine, c.listens); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A host that was made with Traversal is not told to pass an option that Traversal passes.
func TestMissingOfWhole(t *testing.T) {
	h := newTestNet(t).host()
	if of, whole := missing(h, false), missing(h, true); len(of) <= len(whole) || strings.Contains(strings.Join(whole, " "), "libp2p.Enable") {
		t.Errorf("%q of a host, %q of one made with Traversal", of, whole)
	}
}

// The guide has all that a diagnosis advises, word for word.
func TestAdviceIsListed(t *testing.T) {
	guide, err := os.ReadFile("../examples/guides/nat.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(guide)
	for _, advice := range []string{
		adviceOffline, adviceClock, adviceJoin, adviceUnjoined, adviceNoAddr, adviceNotFound, adviceForward, adviceAutoRelay, adviceSeeking,
		adviceNoRelay, adviceFull, adviceUnpunched, adviceNoUDP, adviceMTU, adviceSymmetric,
		strings.Replace(relayAdvice(relay.Search{Ended: true, Named: 2, Unreachable: 2}), "2", "N", 1),
	} {
		if !strings.Contains(text, advice) {
			t.Errorf("the guide lacks %q", advice)
		}
	}
	for f := FilteringUnknown; f <= FilteringDialled; f++ {
		if !strings.Contains(text, f.String()) {
			t.Errorf("the guide lacks %v", f)
		}
	}
}
