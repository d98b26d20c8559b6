package serve

import (
	"bufio"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
)

// An asker is a peer that asks for something at regular times on a stream that it keeps, and on
// a new one if that has ended, as clients do.
type asker struct {
	id             peer.ID
	addr           string
	every          time.Duration
	asked, refused *atomic.Int64
}

// run asks for a minute. A request that fails on two streams counts as refused.
func (a asker) run(d *node) {
	frame := protocol.AppendRequestFrame(nil, protocol.FindNode{Target: []byte("target")})
	s := dialFrom(d, a.id, a.addr)
	r := bufio.NewReader(s)
	ask := func() bool {
		if _, err := s.Write(frame); err != nil {
			return false
		}
		_, err := protocol.ReadFrame(r, protocol.MaxFrame)
		return err == nil
	}
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(a.every) {
		a.asked.Add(1)
		if ask() {
			continue
		}
		s = dialFrom(d, a.id, a.addr)
		r.Reset(s)
		if !ask() {
			a.refused.Add(1)
		}
	}
	_ = s.Close()
}

// Peers that ask much are served: one that asks 200 times a second, and 200 clients behind one
// address that each ask once a second, beside as many peers as there are places for, or more.
func TestHeavyUsers(t *testing.T) {
	for _, tt := range []struct {
		name              string
		clients           int // behind one address
		every             time.Duration
		others            int // each at an address of its own
		most, mostOfOther float64
	}{
		{"200 requests a second", 1, 5 * time.Millisecond, 50, 0, 0},
		{"200 clients of one address", 200, time.Second, 50, 0, 0},
		{"200 clients of one address, all places taken", 200, time.Second, 200, 0.01, 0.01},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newNode(t, 256)
				defer d.Close()
				acquaint(d, 60, "/ip4/192.0.2.1/tcp/4001")
				var asked, refused, othersAsked, othersRefused atomic.Int64
				var peers sync.WaitGroup
				for i := range tt.clients + tt.others {
					a := asker{calltest.ID(1000 + i), fmt.Sprintf("/ip4/100.0.7.7/tcp/%d", 1000+i), tt.every, &asked, &refused}
					if i >= tt.clients {
						a = asker{a.id, netAddr(i), time.Second, &othersAsked, &othersRefused}
					}
					time.Sleep(time.Millisecond) // they do not all come at once
					peers.Go(func() { a.run(d) })
				}
				peers.Wait()
				share := float64(refused.Load()) / float64(asked.Load())
				other := float64(othersRefused.Load()) / float64(othersAsked.Load())
				t.Logf("%d of %d requests refused, of other peers %d of %d", refused.Load(), asked.Load(), othersRefused.Load(), othersAsked.Load())
				if share > tt.most || other > tt.mostOfOther {
					t.Errorf("%.3f and %.3f of the requests are refused", share, other)
				}
			})
		})
	}
}
