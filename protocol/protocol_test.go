package protocol

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// testID returns the i-th peer ID of the tests: of an Ed25519 key.
func testID(i int) peer.ID {
	return peer.ID(fmt.Sprintf("%s%032d", ed25519Prefix, i))
}

func addr(t rapid.TB, s string) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// testPeers returns n peers with n addresses each.
func testPeers(t testing.TB, n, addrs int) []Peer {
	t.Helper()
	peers := make([]Peer, n)
	for i := range peers {
		peers[i].ID = testID(i)
		for j := range addrs {
			peers[i].Addrs = append(peers[i].Addrs, addr(t, fmt.Sprintf("/ip4/192.0.2.%d/udp/%d/quic-v1", i%256, 4001+j)))
		}
	}
	return peers
}

// checkEqual compares what users see: an empty slice is nothing, and addresses
// are text.
func checkEqual(t rapid.TB, got, want any) {
	t.Helper()
	if g, w := show(got), show(want); g != w {
		t.Errorf("got  %.2000s\nwant %.2000s", g, w)
	}
}

func show(v any) string {
	switch v := v.(type) {
	case Response:
		if v.Record != nil {
			return fmt.Sprintf("%+v %+v %+v %+v", v.Closer, v.Providers, short(*v.Record), shortAll(v.More))
		}
	case PutValue:
		return fmt.Sprintf("PutValue %+v %+v", short(v.Record), shortAll(v.More))
	}
	return fmt.Sprintf("%T %+v", v, v)
}

// short returns r with the hash of its value if that is long.
func short(r Record) Record {
	if len(r.Value) > 1<<10 {
		sum := sha256.Sum256(r.Value)
		r.Value = sum[:]
	}
	return r
}

func shortAll(records []Record) []Record {
	var list []Record
	for _, r := range records {
		list = append(list, short(r))
	}
	return list
}

// long skips a test that takes long if the race detector is on: it would take ten times as
// long, and find nothing where there is one goroutine. make test runs it without.
func long(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("the race detector is on, and there is one goroutine")
	}
}
