package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A bootstrap peer that was away, and came back knowing nobody, is found again
// by those who know each other: who joins through it then is in one network with
// them.
func TestReunite(t *testing.T) { synctest.Test(t, testReunite) }

func testReunite(t *testing.T) {
	n := newTestNet(t)
	seed := n.node(Config{})
	through := Config{Bootstrap: []peer.AddrInfo{info(seed.host)}}
	a, b := n.node(through), n.node(through)
	time.Sleep(time.Second)
	if !knows(a, seed.host) || !knows(a, b.host) {
		t.Fatal("the network did not form")
	}

	n.cut(seed.host)
	time.Sleep(10 * time.Minute)
	if knows(a, seed.host) || seed.peers.isLive() {
		t.Fatal("the seed is not apart")
	}
	n.mend(seed.host)
	time.Sleep(2 * maxReuniteAfter)
	if !knows(seed, a.host) && !knows(seed, b.host) {
		t.Fatal("nobody has found the seed again")
	}

	if err := a.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	late := n.node(through)
	if got, err := late.GetValue(t.Context(), "/v/key"); err != nil || string(got) != "1" {
		t.Errorf("who joined through the seed gets %q, %v", got, err)
	}
}

// A contact that refuses to answer its check, for it is busy, stays; a newcomer
// that does is neither admitted nor in doubt.
func TestBusyIsAlive(t *testing.T) { synctest.Test(t, testBusyIsAlive) }

func testBusyIsAlive(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 2)
	busy := puppets[0]
	busy.will(resets)
	time.Sleep(time.Hour) // several checks
	if !knows(d, busy) {
		t.Error("a contact that was busy is gone")
	}

	newcomer := n.puppet(resets)
	join(t, newcomer, d.host)
	time.Sleep(time.Second)
	if knows(d, newcomer) {
		t.Error("a peer that refused its probe is in the table")
	}
	newcomer.will(says(protocol.Response{}))
	if _, err := ask(t, newcomer, d, protocol.FindNode{Target: []byte("target")}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if !knows(d, newcomer) {
		t.Error("a peer that was busy once is not introduced when it asks again")
	}
}

// A host serves one DHT per network: a second one is refused, and is welcome
// when the first is closed.
func TestOneDHTPerNetwork(t *testing.T) { synctest.Test(t, testOneDHTPerNetwork) }

func testOneDHTPerNetwork(t *testing.T) {
	n := newTestNet(t)
	first := n.node(Config{})
	if d, err := New(first.host, testConfig(Config{})); err == nil {
		_ = d.Close()
		t.Error("a second DHT of the network is attached")
	}
	other, err := New(first.host, testConfig(Config{Network: "/other"}))
	if err != nil {
		t.Errorf("a DHT of another network: %v", err)
	} else {
		_ = other.Close()
	}
	_ = first.Close()
	again, err := New(first.host, testConfig(Config{}))
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	_ = again.Close()
}
