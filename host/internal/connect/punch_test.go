package connect

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// Of the many addresses that a host seems to have behind a symmetric NAT, two of TCP
// and two of QUIC are offered and dialled, the first ones.
func TestPunchFilter(t *testing.T) {
	addrs := func(kinds ...string) (list []multiaddr.Multiaddr) {
		for i, kind := range kinds {
			list = append(list, multiaddr.StringCast(fmt.Sprintf("/ip4/61.1.0.1/"+kind, 1000+i)))
		}
		return list
	}
	const tcp, quic = "tcp/%d", "udp/%d/quic-v1"
	mixed := roomtest.Addrs("/ip4/172.17.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/61.1.0.1/tcp/1", "/ip4/61.2.0.1/tcp/1")
	if got := (PunchFilter{}).FilterLocal("", mixed); !slices.EqualFunc(got, mixed[2:], multiaddr.Multiaddr.Equal) {
		t.Errorf("%v of %v, want the public ones", got, mixed)
	}
	for _, c := range []struct {
		all  []multiaddr.Multiaddr
		want []int // of all
	}{
		{addrs(), nil},
		{addrs(tcp), []int{0}},
		{addrs(tcp, quic, tcp, quic), []int{0, 1, 2, 3}},
		{addrs(tcp, tcp, tcp, quic, quic, quic), []int{0, 1, 3, 4}},
		{addrs(quic, quic, quic, tcp), []int{0, 1, 3}},
	} {
		var want []multiaddr.Multiaddr
		for _, i := range c.want {
			want = append(want, c.all[i])
		}
		for name, filter := range map[string]func([]multiaddr.Multiaddr) []multiaddr.Multiaddr{
			"local":  func(a []multiaddr.Multiaddr) []multiaddr.Multiaddr { return PunchFilter{}.FilterLocal("", a) },
			"remote": func(a []multiaddr.Multiaddr) []multiaddr.Multiaddr { return PunchFilter{}.FilterRemote("", a) },
		} {
			if got := filter(slices.Clone(c.all)); !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
				t.Errorf("%s: %v of %v, want %v", name, got, c.all, want)
			}
		}
	}
}

// The addresses at which this host was seen last are offered first; where the router uses another
// port for each peer, the last one of each transport alone.
func TestPunchFilterSeen(t *testing.T) {
	const old, older, last, moved, tcp = "/ip4/61.1.0.1/udp/1/quic-v1", "/ip4/61.1.0.1/udp/2/quic-v1", "/ip4/61.1.0.1/udp/3/quic-v1", "/ip4/61.2.0.1/udp/3/quic-v1", "/ip4/61.1.0.1/tcp/1"
	for _, c := range []struct{ seen, want []string }{ // by one peer after the other
		{nil, []string{old, older, tcp}},
		{[]string{last}, []string{last, old, tcp}},
		{[]string{older}, []string{older, old, tcp}},
		{[]string{older, moved}, []string{moved, older, tcp}},
		{[]string{older, last}, []string{last, tcp}},
	} {
		n := newNode(t)
		n.host.net.listens = roomtest.Addrs(anyQUIC)
		f := PunchFilter{Of: func() *Connector { return n.Connector }}
		for i, at := range c.seen {
			n.seenAt(i, at)
		}
		if got := f.FilterLocal("", roomtest.Addrs(old, older, tcp)); !slices.EqualFunc(got, roomtest.Addrs(c.want...), multiaddr.Multiaddr.Equal) {
			t.Errorf("seen at %v: offers %v, want %v", c.seen, got, c.want)
		}
	}
	none := PunchFilter{Of: func() *Connector { return nil }} // the host is being made
	if got, want := none.FilterLocal("", roomtest.Addrs(tcp)), roomtest.Addrs(tcp); !slices.EqualFunc(got, want, multiaddr.Multiaddr.Equal) {
		t.Errorf("offers %v, want %v", got, want)
	}
}

// seenAt has the i-th of some public peers see port 4001 of the host, over QUIC, at an address.
func (n *node) seenAt(i int, at string) {
	n.host.net.dir = network.DirOutbound
	c := n.host.net.open(calltest.ID(50+i), fmt.Sprintf("/ip4/50.%d.0.1/udp/4001/quic-v1", i))
	c.local = multiaddr.StringCast(anyQUIC)
	n.cfg.Reach.Handle(event.EvtPeerIdentificationCompleted{Peer: c.id, Conn: c, ObservedAddr: multiaddr.StringCast(at)})
}
