package host

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A newcomer that asks while it is being introduced is not introduced twice.
func TestIntroducedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		d := n.node(Config{})
		newcomer := n.join(Config{})
		time.Sleep(5 * time.Second)
		if !knows(d, newcomer.host) {
			t.Error("the newcomer is not known")
		}
		if got := d.Stats().Probes; got != 1 {
			t.Errorf("the newcomer was probed %d times, want once", got)
		}
	})
}

// A peer that comes up again while its introduction fails is introduced once
// more.
func TestIntroducedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		n.node(Config{})
		d := n.join(Config{})
		time.Sleep(time.Minute)
		synctest.Wait()
		var calls atomic.Int64
		network := d.rpc
		d.rpc = requestFunc(func(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
			if calls.Add(1) == 1 {
				time.Sleep(200 * time.Millisecond)
				return protocol.Response{}, errors.New("not yet")
			}
			return network.Request(ctx, to, req)
		})
		newcomer := n.node(Config{})
		if err := newcomer.host.Connect(t.Context(), info(d.host)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		d.keeper.meet(newcomer.self)
		time.Sleep(time.Second)
		if !knows(d, newcomer.host) {
			t.Error("the peer is not known")
		}
	})
}
