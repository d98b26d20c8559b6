package find

import (
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
)

// Addresses are in order of how many peers name them; of equals, the ones that a peer ranks
// higher are first, by the best rank that any peer gives.
func TestWitnessesOrder(t *testing.T) {
	addrs := scope.Best(roomtest.Addrs("/ip4/60.1.0.1/tcp/1", "/ip4/60.2.0.1/tcp/1", "/ip4/60.3.0.1/tcp/1"), nil, 3)
	best, second, third := addrs[0], addrs[1], addrs[2]
	other := roomtest.Addrs("/ip4/60.4.0.1/tcp/1")[0]
	private := roomtest.Addrs("/ip4/10.0.0.1/tcp/1")[0] // it ranks below any public one
	for _, tt := range []struct {
		name  string
		named [][]multiaddr.Multiaddr // by one peer each
		want  []multiaddr.Multiaddr
	}{
		{"a peer that names many leaves room", [][]multiaddr.Multiaddr{{best, second, third}, {other}}, []multiaddr.Multiaddr{best, other, second, third}},
		{"most first", [][]multiaddr.Multiaddr{{best, second}, {second}}, []multiaddr.Multiaddr{second, best}},
		{"the best rank counts", [][]multiaddr.Multiaddr{{best, private}, {second, other}, {private}, {other, second}}, []multiaddr.Multiaddr{private, second, other, best}},
		{"not how often one peer names it", [][]multiaddr.Multiaddr{{best}, {second, second}}, []multiaddr.Multiaddr{best, second}},
	} {
		var w witnesses
		for i, named := range tt.named {
			w.add(calltest.ID(i+1), named)
		}
		got := w.located(SourceHearsay)
		if !slices.EqualFunc(got, tt.want, func(a LocatedAddr, b multiaddr.Multiaddr) bool { return a.Addr.Equal(b) }) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A peer that has connected to us has not said where it listens: the source port of its
// connection is a last resort, and no reason not to ask others. A peer that we have dialled is
// where we dialled it.
func TestOwnOfInbound(t *testing.T) {
	for _, inbound := range []bool{true, false} {
		f, net := newFinderIn(t)
		other, err := net.GenPeer()
		if err != nil {
			t.Fatal(err)
		}
		if err := net.LinkAll(); err != nil {
			t.Fatal(err)
		}
		from, to := f.cfg.Host.ID(), other.ID()
		if inbound {
			from, to = to, from
		}
		if _, err := net.ConnectPeers(from, to); err != nil {
			t.Fatal(err)
		}
		l := newLocator(f, other.ID())
		if own := l.own(); own == inbound {
			t.Errorf("inbound %v: the connection says where the peer is: %v", inbound, own)
		}
		if got := l.location().Addrs; len(got) == 0 || got[0].Source != SourceConnected || got[0].From != f.self {
			t.Errorf("inbound %v: its address is not known as that of a connection: %v", inbound, got)
		}
		if enough := l.enough(nil); enough == inbound {
			t.Errorf("inbound %v: enough is known: %v", inbound, enough)
		}
	}
}
