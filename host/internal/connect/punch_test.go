package connect

import (
	"fmt"
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"

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

// The addresses at which this host was seen last are offered first.
func TestPunchFilterSeen(t *testing.T) {
	const old, older, last, tcp = "/ip4/61.1.0.1/udp/1/quic-v1", "/ip4/61.1.0.1/udp/2/quic-v1", "/ip4/61.1.0.1/udp/3/quic-v1", "/ip4/61.1.0.1/tcp/1"
	for _, c := range []struct{ seen, want []string }{
		{nil, []string{old, older, tcp}},
		{[]string{last}, []string{last, old, tcp}},
		{[]string{last, older}, []string{last, older, tcp}},
		{[]string{older}, []string{older, old, tcp}},
	} {
		f := PunchFilter{Seen: func() []multiaddr.Multiaddr { return roomtest.Addrs(c.seen...) }}
		if got := f.FilterLocal("", roomtest.Addrs(old, older, tcp)); !slices.EqualFunc(got, roomtest.Addrs(c.want...), multiaddr.Multiaddr.Equal) {
			t.Errorf("seen at %v: offers %v, want %v", c.seen, got, c.want)
		}
	}
}
