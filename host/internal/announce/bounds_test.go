package announce

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// hidden returns the addresses of a peer behind several relays, each with all its
// transports: each address has some 190 bytes.
func hidden(relays int) []multiaddr.Multiaddr {
	var addrs []string
	for i := range relays {
		for port := range 4 {
			addrs = append(addrs, fmt.Sprintf("/ip4/40.%d.0.1/udp/%d/quic-v1/webtransport/certhash/uEiB6nXBZ8mYXrCYAMXWf5cRAFv5fXZZ5sN3ZrJcZQ0pFkw"+
				"/certhash/uEiD6nXBZ8mYXrCYAMXWf5cRAFv5fXZZ5sN3ZrJcZQ0pFkw/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit", i, port+1))
		}
	}
	return roomtest.Addrs(addrs...)
}

// A key of any length signs announcements, and certifies as many addresses as fit, the
// first ones.
func TestLongKey(t *testing.T) {
	key, id := roomtest.NewPeerWith(t, crypto.RSA, 4096)
	content := []byte("a multihash")
	proof := Proof{Network: "/test/kad/1.0.0", Key: content, Published: time.Now()}.Sign(key)
	if _, err := Verify(proof, id, "/test/kad/1.0.0", content); err != nil || len(proof) <= protocol.MaxFirstProof {
		t.Errorf("a proof of %d bytes: %v", len(proof), err)
	}
	if err := protocol.Check(protocol.AddProvider{Key: content, Proof: proof}); err != nil {
		t.Errorf("it cannot be sent: %v", err)
	}
	now := time.Now()
	short, shortID := roomtest.NewPeer(t)
	for _, tt := range []struct {
		key  crypto.PrivKey
		id   peer.ID
		give int
		most int // addresses that are left out
	}{{short, shortID, 1, 0}, {key, id, 1, 0}, {short, shortID, 10, 22}, {key, id, 10, 26}} {
		addrs := hidden(tt.give)
		data := Certify(tt.key, tt.id, addrs, now)
		cert, err := VerifyCertificate(data, tt.id, now)
		n := len(cert.Addrs)
		if err != nil || len(data) > protocol.MaxCertified || n < len(addrs)-tt.most || !slices.EqualFunc(cert.Addrs, addrs[:n], multiaddr.Multiaddr.Equal) {
			t.Errorf("%d of %d addresses certified with %d bytes, %v", n, len(addrs), len(data), err)
		}
	}
}

// A holder keeps the best addresses that fit, and a peer is announced with the best ones.
func TestKeptAddrs(t *testing.T) {
	const works = "/ip4/10.0.7.7/tcp/4001"
	var given []multiaddr.Multiaddr
	for i := range 8 {
		for port := range 4 {
			given = append(given, roomtest.Addrs(fmt.Sprintf("/ip4/172.%d.0.1/tcp/%d", 17+i, port+1))...)
		}
	}
	given = append(given, hidden(4)...)
	given = append(given, roomtest.Addrs(works)...)
	p := protocol.Peer{ID: aPeer, Addrs: given}
	add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: aPeer, Addrs: scope.Rank(given, nil)}}}
	for what, wire := range map[string][]byte{
		"kept":      Brief([]byte("key"), p, time.Now()).For(scope.Private),
		"announced": Encode(p).For(scope.Private),
		"sent":      protocol.AppendPeer(nil, RestrictAll(add, scope.Private).Providers[0]),
	} {
		got, err := protocol.ParsePeer(wire)
		if err != nil || !slices.ContainsFunc(got.Addrs, roomtest.Addrs(works)[0].Equal) || len(got.Addrs) > scope.MaxTold {
			t.Errorf("%s: %v, %v", what, got.Addrs, err)
		}
		if what != "announced" && len(wire) > maxKeptAddrs+100 {
			t.Errorf("%s: %d bytes", what, len(wire))
		}
	}
	long := roomtest.Addrs("/dns4/" + strings.Repeat("a", 1+maxKeptAddrs) + "/tcp/1")
	if got := fitting(long, maxKeptAddrs); len(got) != 1 {
		t.Error("the only address is left out")
	}
}
