package lookup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// inventing returns the answer of a liar: k identities near to what is asked for, new ones in
// each answer, at addresses that swallow dials: all at one IP address, or each at its own.
func inventing(net *calltest.Network, k int, oneIP bool) calltest.Answer {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(1, 2))
	return func(_ context.Context, req protocol.Request) (resp protocol.Response, _ error) {
		find, ok := req.(protocol.FindNode)
		if !ok {
			return resp, nil
		}
		mu.Lock()
		defer mu.Unlock()
		target := routing.KeyOf(find.Target)
		for len(resp.Closer) < k {
			id := calltest.ID(1<<20 + rnd.IntN(1<<30))
			if routing.KeyOf([]byte(id)).CPL(target) < 10 {
				continue
			}
			net.Hang(id)
			addr := multiaddr.StringCast("/ip4/9.9.9.9/tcp/1")
			if !oneIP {
				addr = multiaddr.StringCast(fmt.Sprintf("/ip4/%d.%d.%d.9/tcp/1", 20+rnd.IntN(50), rnd.IntN(250), rnd.IntN(250)))
			}
			resp.Closer = append(resp.Closer, protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{addr}})
		}
		return resp, nil
	}
}

// One liar of 25 peers that names peers which are not there, at addresses that swallow dials,
// slows lookups down a little, however many run at a time.
func TestHostileNames(t *testing.T) {
	const lookups, atOnce, all = 64, 32, 25
	took := func(liar func(net *calltest.Network) calltest.Answer) (mean, slowest time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 0)
			var ids []peer.ID
			for i := range all {
				ids = append(ids, calltest.ID(i+1))
			}
			for _, id := range ids {
				n.admit(t, id, calltest.Knows(testK, ids...))
			}
			if liar != nil {
				n.net.Add(ids[7], liar(n.net))
			}
			var mu sync.Mutex
			var group sync.WaitGroup
			slots := make(chan struct{}, atOnce)
			for i := range lookups {
				group.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					began := time.Now()
					if _, err := n.Find(t.Context(), fmt.Append(nil, "key ", i), Plan{}); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					spent := time.Since(began)
					mean, slowest = mean+spent/lookups, max(slowest, spent)
				})
			}
			group.Wait()
			time.Sleep(time.Minute)
		})
		return mean, slowest
	}
	normal, _ := took(nil)
	for name, oneIP := range map[string]bool{"one IP address": true, "many IP addresses": false} {
		mean, slowest := took(func(net *calltest.Network) calltest.Answer { return inventing(net, testK, oneIP) })
		t.Logf("%s: %v on average, %v at most; without the liar %v", name, mean, slowest, normal)
		if mean > 5*normal {
			t.Errorf("%s: %v on average, want at most 5 times %v", name, mean, normal)
		}
	}
}

// Liars, up to half of the k closest seeds, that name the closest peers at addresses which swallow
// dials, before honest peers name them, hide none.
func TestHostileHangingAddresses(t *testing.T) {
	for _, liars := range []int{1, 2, testK / 2} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 0)
			key := routing.KeyOf([]byte("key"))
			var hidden []peer.ID
			for i := range 5000 {
				hidden = append(hidden, calltest.ID(1000+i))
			}
			slices.SortFunc(hidden, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
			hidden = hidden[:testK]
			for _, id := range hidden {
				n.net.Add(id, calltest.Names(hidden...))
				n.net.HangElsewhere(id)
			}
			for i := range 20 {
				n.admit(t, calltest.ID(1+i), calltest.After(20*time.Millisecond, calltest.Names(hidden...)))
			}
			for i, c := range n.table.Seeds(key, liars) {
				n.net.Add(c.ID, elsewhere(i, hidden))
			}
			r, spent := n.find(t, "key")
			all := 0
			for _, id := range peersOf(r.Closest) {
				if slices.Contains(hidden, id) {
					all++
				}
			}
			t.Logf("%d liars: %d of the %d closest are found, in %v, with %d requests", liars, all, testK, spent, len(n.net.Asked()))
			if all < testK {
				t.Errorf("with %d liars, %d of the %d closest are found", liars, all, testK)
			}
		})
	}
}

// elsewhere returns the answer of a liar that names peers at addresses of its own choice.
func elsewhere(liar int, ids []peer.ID) calltest.Answer {
	return func(context.Context, protocol.Request) (resp protocol.Response, _ error) {
		for i, id := range ids {
			addr := multiaddr.StringCast(fmt.Sprintf("/ip4/%d.9.%d.9/tcp/1", 20+liar, i))
			resp.Closer = append(resp.Closer, protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{addr}})
		}
		return resp, nil
	}
}

// Where a key is crowded, a sink is told so, by a survey too, which looks the key up each time;
// what it is sent reaches honest peers as well. Without a sink, the result has the k closest.
func TestCrowdedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		for i := range 12 { // the size of the network is known then
			n.find(t, fmt.Sprint("before ", i))
		}
		var crowd []peer.ID
		for i := range 5000 {
			crowd = append(crowd, calltest.ID(1000+i))
		}
		key := routing.KeyOf([]byte("key"))
		slices.SortFunc(crowd, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
		crowd = crowd[:2*testK]
		for _, id := range append(slices.Clone(crowd), ids...) {
			n.net.Add(id, calltest.Knows(2*testK, append(slices.Clone(crowd), ids...)...))
		}
		if found, err := n.Closest(0)(t.Context(), []byte("key"), nil); err != nil || len(found) != testK {
			t.Errorf("found %d, %v; want %d", len(found), err, testK)
		}
		s := n.NewSurvey()
		for i, closest := range []Closest{n.Closest(0), s.Closest, s.Closest} {
			crowded, added := 0, []peer.ID(nil)
			_, err := closest(t.Context(), []byte("key"), &Sink{
				Add:     func(_ context.Context, to ...routing.Contact) { added = append(added, peersOf(to)...) },
				Late:    func(context.Context, ...routing.Contact) {},
				Taken:   func(context.Context) bool { return true },
				Crowded: func() { crowded++ },
			})
			if honest := slices.ContainsFunc(added, func(id peer.ID) bool { return slices.Contains(ids, id) }); err != nil || crowded != 1 || !honest {
				t.Errorf("%d: told %d times that the key is crowded, %v; an honest peer is sent it: %v", i, crowded, err, honest)
			}
		}
		if s.Known([]byte("key")) {
			t.Error("a survey knows a crowded key without a lookup")
		}
		var near []routing.Contact
		for _, id := range crowd[:testK] {
			near = append(near, calltest.Contact(id))
		}
		s.region.Add(key, near) // by lookups of keys around it, which are not crowded
		before := n.Lookups()
		if r, err := s.find(t.Context(), []byte("key")); err != nil || !r.Crowded || n.Lookups() != before+1 {
			t.Errorf("a survey that knows a crowd alone: crowded %v, %v, after %d lookups", r.Crowded, err, n.Lookups()-before)
		}
	})
}
