package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// Names of the DNS lead to peers, over other names too, and each time anew. One that leads
// nowhere, or to itself, is an error only if no other one leads to a peer.
func TestDNSBootstrap(t *testing.T) {
	const one = "12D3KooWT31gsuv1RC6aypG47LhNGmMbVbimX19PtMivHmjctStV"
	const two = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
	mock := &madns.MockResolver{TXT: map[string][]string{
		"_dnsaddr.seeds.example":  {"dnsaddr=/dnsaddr/a.example/p2p/" + one, "dnsaddr=/dnsaddr/b.example", "dnsaddr=/ip4/192.0.2.9/tcp/1", "other text"},
		"_dnsaddr.a.example":      {"dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/" + one, "dnsaddr=/ip4/192.0.2.1/udp/1/quic-v1/p2p/" + one, "dnsaddr=/ip4/192.0.2.2/tcp/1/p2p/" + two},
		"_dnsaddr.b.example":      {"dnsaddr=/dns4/host.example/tcp/1/p2p/" + two},
		"_dnsaddr.itself.example": {"dnsaddr=/dnsaddr/itself.example", "dnsaddr=/dnsaddr/itself.example"},
	}}
	r, err := madns.NewResolver(madns.WithDefaultResolver(mock))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		addrs []string
		want  []string // ID and addresses
		err   string
	}{
		{"two names", []string{"/dnsaddr/seeds.example"}, []string{one + " /ip4/192.0.2.1/tcp/1 /ip4/192.0.2.1/udp/1/quic-v1", two + " /dns4/host.example/tcp/1"}, ""},
		{"a peer", []string{"/ip4/192.0.2.1/tcp/1/p2p/" + one}, []string{one + " /ip4/192.0.2.1/tcp/1"}, ""},
		{"one is unknown", []string{"/dnsaddr/none.example", "/dnsaddr/b.example"}, []string{two + " /dns4/host.example/tcp/1"}, ""},
		{"all are unknown", []string{"/dnsaddr/none.example"}, nil, "/dnsaddr/none.example: no address of a peer"},
		{"itself", []string{"/dnsaddr/itself.example"}, nil, "no address of a peer"},
		{"no address", []string{"bootstrap.example"}, nil, "bootstrap.example"},
	} {
		got, err := dnsBootstrap(r, tt.addrs)(t.Context())
		if !slices.Equal(textsOf(got), tt.want) || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, textsOf(got), err, tt.want, tt.err)
		}
	}
	find := dnsBootstrap(r, []string{"/dnsaddr/b.example"})
	mock.TXT["_dnsaddr.b.example"] = []string{"dnsaddr=/ip4/192.0.2.7/tcp/1/p2p/" + one}
	if got, err := find(t.Context()); err != nil || len(got) != 1 || got[0].ID.String() != one {
		t.Errorf("after a change of the DNS: %v, %v", got, err)
	}
}

// textsOf returns peers with their addresses as text.
func textsOf(infos []peer.AddrInfo) (texts []string) {
	for _, info := range infos {
		text := info.ID.String()
		for _, a := range info.Addrs {
			text += " " + a.String()
		}
		texts = append(texts, text)
	}
	return texts
}
