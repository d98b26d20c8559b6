package reach

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
)

// An announcement waits for a relayed address, for 5s at most, if the node seeks a relay.
func TestAwaitAddr(t *testing.T) { synctest.Test(t, testAwaitAddr) }

func testAwaitAddr(t *testing.T) {
	n := newNode(t, Auto, true)
	n.Start()
	n.host.move(privateAddr)
	await := func(what string, want time.Duration) {
		t.Helper()
		start := time.Now()
		if err := n.AwaitAddr(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if spent := time.Since(start); spent != want {
			t.Errorf("%s: waited for %v, want %v", what, spent, want)
		}
	}
	var notReady *table.NotReadyError
	if err := n.AwaitAddr(t.Context()); !errors.As(err, &notReady) {
		t.Errorf("alone: %v", err)
	}
	n.table.Heard(calltest.Contact(calltest.ID(1)), table.Answered, 0)
	await("no relay is sought", 0)
	n.SeekRelay()
	await("none comes", addrTimeout)
	emitter, err := n.host.bus.Emitter(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = emitter.Close() }()
	time.AfterFunc(time.Second, func() { _ = emitter.Emit(event.EvtLocalAddressesUpdated{}) })
	time.AfterFunc(2*time.Second, func() {
		n.host.move(relayedAddr)
		_ = emitter.Emit(event.EvtLocalAddressesUpdated{})
	})
	await("one comes", 2*time.Second)
	await("there is one", 0)
	n.host.move(privateAddr)
	n.finds(network.ReachabilityPublic)
	await("none is needed", 0)
	n.group.Cancel()
	if err := n.AwaitAddr(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
