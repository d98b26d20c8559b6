package host

import (
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
)

// A peer of which there is only hearsay is not dialled by the lookup, and it goes to
// its end; what the other answer says is followed.
func TestLocateFollowsBothAnswers(t *testing.T) { synctest.Test(t, testLocateFollows) }

func testLocateFollows(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	far := n.puppet(says(protocol.Response{}))
	target := n.host()
	puppets[0].will(func(s network.Stream, req protocol.Request) {
		var resp protocol.Response
		if _, ok := req.(protocol.FindNode); ok {
			resp.Closer = []protocol.Peer{
				{ID: target.ID(), Addrs: target.Addrs()},
				{ID: far.ID(), Addrs: far.Addrs()},
			}
		}
		says(resp)(s, req)
	})
	puppets[1].will(resets)
	got, err := d.Locate(t.Context(), target.ID())
	if err != nil || len(got.Addrs) != 1 || got.Addrs[0].Source != SourceHearsay || got.Addrs[0].From != puppets[0].ID() {
		t.Fatalf("Locate() = %v, %v", got, err)
	}
	var find, get int
	for _, req := range far.requests() {
		switch req := req.(type) {
		case protocol.FindNode:
			if string(req.Target) == string(target.ID()) {
				find++
			}
		case protocol.GetProviders:
			get++
		}
	}
	if find != 1 || get != 1 {
		t.Errorf("the peer that only FIND_NODE named was asked %d and %d times, want once for each", find, get)
	}
	if d.table.Connected(target.ID()) {
		t.Error("the lookup has dialled the peer that it looks for")
	}
}
