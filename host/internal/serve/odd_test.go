package serve

import (
	"bufio"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// Peers whose connections have addresses of any protocol, or none, and that announce such
// addresses, are served, and so are the peers that are told of them.
func TestOddAddrs(t *testing.T) { synctest.Test(t, testOddAddrs) }

func testOddAddrs(t *testing.T) {
	d := newNode(t, 256)
	serve := func(i int, at multiaddr.Multiaddr, reqs ...protocol.Request) {
		near, far := roomtest.NewStream(roomtest.NewConn(d.host.ID(), nil), roomtest.NewConn(calltest.ID(i), at))
		go d.Handle(far)
		var frames []byte
		for _, req := range reqs {
			frames = protocol.AppendRequestFrame(frames, req)
		}
		if _, err := near.Write(frames); err != nil {
			t.Errorf("a peer at %v: %v", at, err)
		}
		_ = near.CloseWrite()
		for r := bufio.NewReader(near); ; {
			_, err := protocol.ReadFrame(r, protocol.MaxFrame)
			if reset := new(network.StreamError); err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &reset) {
				t.Errorf("a peer at %v: %v", at, err)
			}
			if err != nil {
				return
			}
		}
	}
	odd := roomtest.OddAddrs(t)
	for i, at := range odd {
		self := protocol.Peer{ID: calltest.ID(i), Addrs: odd[i:min(i+40, len(odd)):min(i+40, len(odd))]}
		serve(i, at, protocol.FindNode{Target: []byte("key")}, protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{self}})
	}
	if _, providers := d.holder.Len(); providers == 0 {
		t.Error("no announcement is held")
	}
	for i, at := range roomtest.Addrs("/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1/tcp/1", "/ip4/8.8.8.8/tcp/1") {
		serve(len(odd)+i, at, protocol.GetProviders{Key: []byte("key")}, protocol.FindNode{Target: []byte(calltest.ID(7))})
	}
	synctest.Wait() // each is counted until its handler has returned
	if d.Len() > 0 {
		t.Errorf("%d streams are left", d.Len())
	}
}
