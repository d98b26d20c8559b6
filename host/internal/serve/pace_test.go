package serve

import (
	"bufio"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// askOn has a peer ask on a stream again and again, each time once it is answered, and counts the
// answers.
func askOn(s network.Stream, answers *atomic.Int64) {
	frame := protocol.AppendRequestFrame(nil, protocol.FindNode{Target: []byte("target")})
	go func() {
		for r := bufio.NewReader(s); ; answers.Add(1) {
			if _, err := s.Write(frame); err != nil {
				return
			}
			if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
				return
			}
		}
	}()
}

// Peers that ask as fast as they are answered have a part of the time of the processors, of which
// each network has as much as another, however many peers and streams it has. Another peer does
// not wait for them.
func TestBusyNetworks(t *testing.T) {
	for _, tt := range []struct {
		name     string
		networks int
		share    float64 // of the answers, for one stream of another network
	}{
		{"one network", 1, 1. / 2},
		{"10 networks", 10, 1. / 11},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testBusyNetworks(t, tt.networks, tt.share) })
		})
	}
}

func testBusyNetworks(t *testing.T, networks int, share float64) {
	const lasts = 300 * time.Millisecond
	d := newNode(t, 256)
	var many, few atomic.Int64
	var streams []network.Stream
	for i := range 250 {
		streams = append(streams, dialFrom(d, calltest.ID(i/5), netAddr(i/5%networks)))
	}
	s := dialFrom(d, calltest.ID(1000), netAddr(80))
	for _, other := range streams {
		askOn(other, &many)
	}
	askOn(s, &few)
	streams = append(streams, s)
	time.Sleep(lasts / 3) // until what the burst allows is used
	before, beforeFew := many.Load()+few.Load(), few.Load()
	for began := time.Now(); time.Since(began) < lasts; time.Sleep(lasts / 10) {
		if took := roomtest.Took(func() {
			s := dialFrom(d, aPeer, netAddr(90))
			if !pings(s) {
				t.Error("a peer that asks seldom is not served")
			}
			_ = s.Reset()
		}); took > 0 {
			t.Errorf("a peer that asks seldom waits for %v", took)
		}
	}
	all, one := many.Load()+few.Load()-before, few.Load()-beforeFew
	t.Logf("in %v %d answers, %d of them of one stream of another network", lasts, all, one)
	// An answer takes no time here, and counts minCost.
	want := float64(lasts) / float64(minCost+transportCost) * busyShare * float64(runtime.GOMAXPROCS(0))
	if float64(all) < want*0.9 || float64(all) > want*1.1 {
		t.Errorf("%d answers, want %.0f", all, want)
	}
	if got := float64(one) / float64(all); got < share*0.9 {
		t.Errorf("one stream has %.3f of the answers, want %.3f", got, share)
	}
	for _, s := range streams {
		_ = s.Reset()
	}
	time.Sleep(time.Second)
	synctest.Wait()
	checkIdle(t, d)
	d.Close()
	d.Done().Wait()
}

// A peer keeps no pace while it is the only one that asks, nor one that asks 70 times a second
// beside others.
func TestUsualPeersKeepNoPace(t *testing.T) {
	var a accounts
	now := time.Now()
	cost := minCost + transportCost
	for range 10_000 {
		if a.asks(aPeer, now) {
			t.Fatal("one peer counts as two")
		}
		a.add("network", cost, now)
		now = now.Add(cost)
	}
	a.asks(calltest.ID(1), now)
	if !a.asks(aPeer, now.Add(time.Millisecond)) || a.paceOf("network", now) == nil {
		t.Error("a network that asks without end is not busy once another peer asks")
	}
	if now = now.Add(time.Hour); a.asks(aPeer, now) || a.paceOf("network", now) != nil {
		t.Error("a network is busy an hour later")
	}
	for range 10_000 {
		a.add("network", cost, now)
		now = now.Add(time.Second / 70)
	}
	if a.paceOf("network", now) != nil {
		t.Error("a network that asks 70 times a second is busy")
	}
}

// However many networks ask, few accounts are kept.
func TestAccountsAreBounded(t *testing.T) {
	var a accounts
	now := time.Now()
	for i := range 3 * maxUsers {
		a.add(netAddr(i), usualBurst*2, now)
	}
	if len(a.of) > maxUsers {
		t.Errorf("%d accounts, want at most %d", len(a.of), maxUsers)
	}
}
