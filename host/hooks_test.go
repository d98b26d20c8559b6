package host

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/protocol"
)

// A peer that Accept refuses is in no table of the node, is not asked by it, and is not named
// by it, while others in the network know it; and it is answered.
func TestAccept(t *testing.T) { synctest.Test(t, testAccept) }

func testAccept(t *testing.T) {
	n := newTestNet(t)
	var foreign atomic.Pointer[peer.ID]
	picky := n.node(Config{Accept: func(p peer.AddrInfo) bool {
		id := foreign.Load()
		return id == nil || p.ID != *id
	}})
	through := Config{Bootstrap: []peer.AddrInfo{info(picky.host)}}
	others := []*DHT{n.node(through), n.node(through), n.node(through)}
	h := n.host()
	id := h.ID()
	foreign.Store(&id)
	refused := n.attach(h, Config{Bootstrap: []peer.AddrInfo{info(picky.host), info(others[0].host)}})
	time.Sleep(time.Minute)
	if !knows(others[0], h) || !knows(refused, picky.host) {
		t.Fatal("the refused peer and the others do not know each other")
	}
	served := picky.Stats().InboundFindNode
	found, err := picky.ClosestPeers(t.Context(), []byte(id))
	if err != nil || len(found) != len(others) || slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == id }) {
		t.Errorf("ClosestPeers() = %v, %v; want the other peers alone", found, err)
	}
	if knows(picky, h) {
		t.Error("the refused peer is a contact")
	}
	resp := answered(t, n, picky, protocol.FindNode{Target: []byte(id)})
	if slices.ContainsFunc(resp.Closer, func(p protocol.Peer) bool { return p.ID == id }) {
		t.Error("the refused peer is named to others")
	}
	if _, err := refused.ClosestPeers(t.Context(), []byte(picky.ID())); err != nil {
		t.Error(err)
	}
	if picky.Stats().InboundFindNode == served {
		t.Error("the requests of the refused peer are not answered")
	}
}

// A node that refuses records by a rule of its own holds none of them, and the publisher
// learns who refused it.
func TestOnRequest(t *testing.T) { synctest.Test(t, testOnRequest) }

func testOnRequest(t *testing.T) {
	n := newWiredNet(t)
	var requests atomic.Int32
	strict := n.node(Config{OnRequest: func(_ network.Conn, req protocol.Request) error {
		switch req.(type) {
		case protocol.PutValue, protocol.AddProvider:
			requests.Add(1)
			return errors.New("this node stores nothing")
		}
		return nil
	}})
	lax := n.node(Config{Bootstrap: []peer.AddrInfo{info(strict.host)}})
	publisher := n.node(Config{Bootstrap: []peer.AddrInfo{info(strict.host)}})
	time.Sleep(time.Minute)
	receipt, err := publisher.Put(t.Context(), "/v/key", []byte("1"))
	if err != nil || !slices.Equal(receipt.Stored, []peer.ID{lax.ID()}) || !errors.Is(receipt.Failed[strict.ID()], ErrRefused) {
		t.Errorf("Put() = %+v, %v; want it stored by one, and refused by the other", receipt, err)
	}
	hash, _ := multihash.Sum([]byte("content"), multihash.SHA2_256, -1)
	if _, err := publisher.Announce(t.Context(), cid.NewCidV1(cid.Raw, hash)); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Minute)
	if values, providers := strict.holder.Len(); values+providers > 0 || requests.Load() < 2 {
		t.Errorf("%d values and %d announcements are held after %d requests", values, providers, requests.Load())
	}
	if !knows(publisher, strict.host) || !knows(strict, publisher.host) {
		t.Error("peers that refuse records do not know each other any more")
	}
	if _, err := strict.Put(t.Context(), "/v/own", []byte("2")); err != nil {
		t.Error("a put of its own:", err)
	}
}
