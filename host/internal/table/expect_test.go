package table

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/routing"
)

// tuned returns the settings of a lookup by what the table has learnt.
func tuned(f *fixture) routing.LookupConfig { return f.Tune(routing.LookupConfig{K: f.cfg.K}) }

// The neighbours that show the size of the network are in order, and none is missing,
// though some are suspect. Fewer than k contacts show nothing.
func TestSizeWithSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 20})
		var all []routing.Contact
		for _, id := range peers(19) {
			f.answer(id)
		}
		if size := tuned(f).Size; size.Nodes != 0 {
			t.Errorf("19 contacts of 20 show a size of %.0f", size.Nodes)
		}
		for _, id := range peers(24) {
			all = append(all, routing.ContactOf(id))
			for range 8 {
				f.answer(id)
			}
		}
		before := tuned(f).Size
		routing.SortByDistance(f.Self(), all)
		for _, c := range all[:7] {
			f.Heard(c, Silent, 0)
		}
		after := tuned(f).Size
		if before.Nodes == 0 || after.Nodes > 2*before.Nodes || after.Nodes < before.Nodes/2 {
			t.Errorf("size %.0f, and %.0f when 7 of 24 contacts are suspect", before.Nodes, after.Nodes)
		}
	})
}

// The closest peers of a key that a lookup found show the size of the network.
func TestFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 20})
		var all []routing.Contact
		for i := range 1000 {
			all = append(all, routing.ContactOf(calltest.ID(i)))
		}
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			k := routing.KeyOf([]byte(key))
			routing.SortByDistance(k, all)
			f.Found(time.Time{}, k, routing.Result{End: routing.Converged, Closest: all[:20]})
		}
		if size := tuned(f).Size; size.Nodes < 500 || size.Nodes > 2000 {
			t.Errorf("size %.0f, of 1 000 nodes", size.Nodes)
		}
	})
}

// Patience is two answers of an unknown peer, and SlowAfter at most.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		if got := f.Patience(); got != time.Second {
			t.Errorf("patience %v before the first answer, want SlowAfter", got)
		}
		for _, id := range peers(10) {
			f.Heard(routing.ContactOf(id), Answered, 20*time.Millisecond)
		}
		named := []routing.Contact{routing.ContactOf(calltest.ID(99))}
		f.Expect(named)
		if got := f.Patience(); got != 2*named[0].Expect || got < 40*time.Millisecond || got > 200*time.Millisecond {
			t.Errorf("patience %v, and an unknown peer is expected within %v", got, named[0].Expect)
		}
		for _, id := range peers(200) {
			f.Heard(routing.ContactOf(id), Answered, 2*time.Second)
		}
		if got := f.Patience(); got != time.Second {
			t.Errorf("patience %v in a slow network, want SlowAfter", got)
		}
	})
}

// Contacts are expected by their own answers, and are marked if they are connected.
func TestExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		quick, slow := calltest.ID(1), calltest.ID(2)
		f.Heard(routing.ContactOf(quick), Answered, 10*time.Millisecond)
		f.Heard(routing.ContactOf(slow), Answered, 500*time.Millisecond)
		f.net.Connect(slow)
		c := []routing.Contact{routing.ContactOf(quick), routing.ContactOf(slow)}
		f.Expect(c)
		if c[0].RoundTrip != 10*time.Millisecond || c[1].RoundTrip != 500*time.Millisecond || c[0].Expect >= c[1].Expect {
			t.Errorf("expected: %v in %v, %v in %v", c[0].RoundTrip, c[0].Expect, c[1].RoundTrip, c[1].Expect)
		}
		if c[0].Connected || !c[1].Connected {
			t.Errorf("connected: %v, %v", c[0].Connected, c[1].Connected)
		}
	})
}

// A bucket is stale once per RefreshInterval, and not if one of its keys was looked up, or
// it was filled.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 20})
		f.answer(peers(8)...)
		const age = 20 * time.Minute
		stale := func() (cpls []int) {
			for {
				cpl, _, ok := f.Stale(time.Now(), age)
				if !ok {
					return cpls
				}
				cpls = append(cpls, cpl)
			}
		}
		all := stale()
		if len(all) == 0 {
			t.Fatal("no bucket is stale that was never looked up")
		}
		if got := stale(); len(got) != 0 {
			t.Errorf("stale once more: %v", got)
		}
		time.Sleep(age)
		key := f.Self()
		key[0] ^= 0x80 // of CPL 0
		f.LookedUp(key)
		for _, cpl := range stale() {
			if cpl == 0 {
				t.Error("a bucket is stale that was looked up just now")
			}
		}
		time.Sleep(age)
		fill := f.Fill()
		req, ok := fill.Next()
		if !ok || !f.Has(req.To.ID) {
			t.Fatalf("fill asks %v, %v", req, ok)
		}
		fill.Ended(req, nil)
		if got := stale(); !slices.Contains(all, req.CPL) || slices.Contains(got, req.CPL) {
			t.Errorf("stale: %v, of %v, though CPL %d is being filled", got, all, req.CPL)
		}
	})
}

// Peers that crowd around a key next to this node count as no more than there should be, so that
// it stays a holder of what is stored under the key. Where there is no crowd, all count.
func TestCountCloser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const k, nodes, shared = 20, 500, 7
		f := newTable(t, Config{K: k})
		var all []routing.Contact
		for i := range nodes {
			all = append(all, routing.ContactOf(calltest.ID(i+1)))
		}
		for i := range 8 { // lookups, which show the size of the network
			key := routing.KeyOf([]byte{byte(i)})
			routing.SortByDistance(key, all)
			f.Found(time.Time{}, key, routing.Result{End: routing.Converged, Closest: all[:k]})
		}
		for _, c := range all {
			f.Heard(c, Answered, 0)
		}
		var near routing.Key // one of the crowd
		for i, crowd := nodes, 0; crowd < k; i++ {
			if c := routing.ContactOf(calltest.ID(i + 1)); c.Key.CPL(f.Self()) == shared {
				f.Heard(c, Answered, 0)
				near, crowd = c.Key, crowd+1
			}
		}
		want := int(f.Size().Within(near, f.Self()))
		if got := f.CountCloser(near); got != want || want < 1 || want >= k/2 {
			t.Errorf("next to this node %d count, want %d", got, want)
		}
		far := near
		for i := range far {
			far[i] = ^f.Self()[i]
		}
		if got := f.CountCloser(far); got != f.Stats().Contacts {
			t.Errorf("far from this node %d of %d count", got, f.Stats().Contacts)
		}
	})
}
