package net_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// The tests of this file fail when a workaround of go-libp2p is no longer needed.

// AutoRelay asks for relays only after the first event on reachability: while that is so,
// host/internal/relay/autorelay.go emits one.
func TestAutoRelayWaitsForReachability(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		source := func(context.Context, int) <-chan peer.AddrInfo {
			asked.Add(1)
			none := make(chan peer.AddrInfo)
			close(none)
			return none
		}
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.EnableRelay(),
			libp2p.EnableAutoRelayWithPeerSource(source, autorelay.WithBootDelay(0), autorelay.WithMinInterval(time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		time.Sleep(time.Minute)
		if n := asked.Load(); n != 0 {
			t.Errorf("AutoRelay asked %d times without an event: relay.StartAutoRelay is not needed any more", n)
		}
		emitter, err := h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
		if err != nil {
			t.Fatal(err)
		}
		defer emitter.Close()
		if err := emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityUnknown}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if asked.Load() == 0 {
			t.Error("AutoRelay does not ask after the event: relay.StartAutoRelay does not work any more")
		}
	})
}
