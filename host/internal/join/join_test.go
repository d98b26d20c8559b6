package join

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// To join, a node introduces its bootstrap peer, looks itself up, and then asks for a key
// of each bucket farther away than its closest neighbour.
func TestJoinOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := peerAt(3, 0)
		n := newNode(t, through(seed), "")
		n.serve(t, calltest.Names(), seed)
		if err := n.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := n.asked()
		if len(got) != 5 || got[0] != -1 || got[1] != -1 {
			t.Fatalf("asked for %v, want itself in the introduction and in the lookup, and 3 buckets", got)
		}
		slices.Sort(got)
		if want := []int{-1, -1, 0, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("asked for %v, want %v: no peer is expected nearer than CPL 2", got, want)
		}
		if n.Joins() != 1 || n.Running() || !n.table.Has(seed) {
			t.Errorf("%d joins, running: %v", n.Joins(), n.Running())
		}
	})
}

// The peers that others name are in the table after a join, in far buckets too. All dials
// are in the bounds for dials.
func TestJoinFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := calltest.ID(1)
		n := newNode(t, through(seed), "")
		var ids []peer.ID
		for i := range 60 {
			ids = append(ids, calltest.ID(i+1))
		}
		n.serve(t, calltest.Knows(testK, ids...), ids...)
		start := time.Now()
		if err := n.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		far := 0
		for _, b := range n.table.Buckets() {
			if b.CPL == 0 {
				far = len(b.Contacts)
			}
		}
		if s := n.table.Stats(); far != testK || s.Contacts < 3*testK || time.Since(start) > routing.MaxFillTime {
			t.Errorf("%d contacts, %d of them far away, after %v", s.Contacts, far, time.Since(start))
		}
		for _, a := range n.net.Asked() {
			if n.mu.Lock(); n.dials[a.To] == nil {
				t.Errorf("%s was not dialled within the bounds for dials", a.To)
			}
			n.mu.Unlock()
		}
	})
}

// A fill ends in time, though the peers it asks do not answer, and they are in doubt then.
func TestFillEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed, silent := peerAt(4, 0), []peer.ID{peerAt(0, 0), peerAt(0, 1), peerAt(0, 2)}
		n := newNode(t, through(seed), "")
		n.serve(t, calltest.Names(), seed)
		if err := n.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.serve(t, calltest.Names(silent...), seed)
		n.serve(t, calltest.Silent, silent...)
		start := time.Now()
		if err := n.fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if spent := time.Since(start); spent < routing.FillTimeout || spent > routing.FillTimeout+10*calltest.RoundTrip {
			t.Errorf("it took %v, want about %v, since all are asked at once", spent, routing.FillTimeout)
		}
		for _, id := range silent {
			if n.table.WantsAsker(id) {
				t.Errorf("%s is not in doubt", id)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.fill(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a fill without time: %v", err)
		}
	})
}

// A lookup beside that of our own key which no peer answers does not end the join.
func TestJoinWithoutLoneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var other []peer.ID // the half of the key space that this node is not in
		self := routing.KeyOf([]byte(calltest.ID(0)))
		for i := 1; len(other) < testK; i++ {
			if id := calltest.ID(i); self.CPL(routing.KeyOf([]byte(id))) == 0 {
				other = append(other, id)
			}
		}
		n := newNode(t, through(other...), "")
		knows := calltest.Knows(testK, other...)
		n.serve(t, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if target := req.(protocol.FindNode).Target; self.CPL(routing.KeyOf(target)) == 1 {
				return protocol.Response{}, errors.New("not that one")
			}
			return knows(ctx, req)
		}, other...)
		if err := n.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		lone := n.table.LoneCPLs()
		if got := n.asked(); !slices.Equal(lone, []int{1, 2}) || count(got, 1) == 0 || count(got, 2) == 0 {
			t.Errorf("asked for %v, want CPL 1, which no peer answers, and CPL 2 after it; %v are lone", got, lone)
		}
	})
}

// Joins at the same time are one. A caller that gives up does not end it, the end of the
// node does.
func TestJoinIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := calltest.ID(1)
		n := newNode(t, through(seed), "")
		n.net.Hang(seed)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var joins sync.WaitGroup
		joins.Go(func() {
			if err := n.Join(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Join() = %v, want that its time is over", err)
			}
		})
		for range 9 {
			joins.Go(func() {
				if err := n.Join(t.Context()); !errors.Is(err, kaderr.ErrNoContacts) {
					t.Errorf("Join() = %v, want that there are no contacts", err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		if !n.Running() {
			t.Error("it does not go on")
		}
		joins.Wait()
		if n.Joins() != 1 || n.Running() {
			t.Errorf("%d joins, running: %v", n.Joins(), n.Running())
		}
		joins.Go(func() {
			if err := n.Join(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
				t.Errorf("Join() = %v when the node is closed", err)
			}
		})
		synctest.Wait()
		n.group.Cancel()
		joins.Wait()
		if err := n.Join(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("Join() = %v of a closed node", err)
		}
	})
}

// Departed contacts come before bootstrap peers, which are dialled if no peer has answered
// within a second: at once if there are no departed contacts, or all have failed.
func TestBootstrapIsFallback(t *testing.T) {
	seed, other, third := calltest.ID(1), calltest.ID(2), calltest.ID(3)
	for name, tt := range map[string]struct {
		arrange func(t *testing.T, n *node)
		saved   bool // other is a contact of an earlier run
		after   time.Duration
		never   bool
	}{
		"no other peer": {},
		"a connected peer that is silent": {arrange: func(t *testing.T, n *node) {
			n.serve(t, calltest.Silent, other)
			n.net.Connect(other)
		}},
		"a saved contact that hangs, and a connected peer": {saved: true, never: true, arrange: func(t *testing.T, n *node) {
			n.net.Hang(other)
			n.serve(t, calltest.Names(), third)
			n.net.Connect(third)
		}},
		"a saved contact":              {saved: true, never: true, arrange: func(t *testing.T, n *node) { n.serve(t, calltest.Names(), other) }},
		"a saved contact that hangs":   {saved: true, after: fallbackAfter, arrange: func(_ *testing.T, n *node) { n.net.Hang(other) }},
		"a saved contact that is gone": {saved: true, after: calltest.RoundTrip},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				if tt.saved {
					before := newNode(t, through(other), dir)
					before.serve(t, calltest.Names(), other)
					if err := errors.Join(before.Join(t.Context()), before.table.Save()); err != nil {
						t.Fatal(err)
					}
				}
				n := newNode(t, through(seed), dir)
				n.serve(t, calltest.Names(), seed)
				if tt.arrange != nil {
					tt.arrange(t, n)
				}
				start := time.Now()
				if err := n.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				dials := n.dialsOf(seed)
				switch {
				case tt.never && (len(dials) > 0 || n.table.Stats().Contacts != 1):
					t.Errorf("the bootstrap peer was dialled at %v", dials)
				case !tt.never && (len(dials) != 1 || dials[0].Sub(start) != tt.after || !n.table.Has(seed)):
					t.Errorf("the bootstrap peer was dialled at %v, from %v; want once, after %v", dials, start, tt.after)
				}
			})
		})
	}
}

// A join goes on with the first peer that answers, and introduces the others meanwhile. It
// forgets which peers were filtered before.
func TestFirstPeerIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow, filtered := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		n := newNode(t, through(quick, slow), "")
		n.serve(t, calltest.Names(), quick, filtered)
		n.serve(t, calltest.After(time.Second, calltest.Names()), slow)
		if n.table.Wants(filtered) || len(n.table.NotReady(nil).Filtered) != 1 {
			t.Fatal("a peer without a connection is not filtered")
		}
		start := time.Now()
		if err := n.Join(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("Join() = %v after %v", err, time.Since(start))
		}
		time.Sleep(2 * time.Second)
		if !n.table.Has(quick) || !n.table.Has(slow) || len(n.table.NotReady(nil).Filtered) > 0 {
			t.Errorf("held: %v, %v; %v", n.table.Has(quick), n.table.Has(slow), n.table.NotReady(nil))
		}
	})
}

// A join that fails says what became of the bootstrap peers.
func TestJoinNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, other, silent := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		n := newNode(t, through(gone, other, silent), "")
		n.serve(t, calltest.Silent, silent, other)
		if err := n.net.Host().Peerstore().SetProtocols(other, "/other/kad"); err != nil {
			t.Fatal(err)
		}
		err := n.Join(t.Context())
		var notReady *table.NotReadyError
		if !errors.As(err, &notReady) || len(notReady.Dials) != 3 {
			t.Fatalf("Join() = %v, want the reasons of three peers", err)
		}
		if !errors.Is(notReady.Dials[gone], calltest.ErrUnreachable) || !errors.Is(notReady.Dials[silent], context.DeadlineExceeded) ||
			!strings.Contains(notReady.Dials[other].Error(), "it does not speak /test/kad/1.0.0") {
			t.Errorf("noted: %v", notReady.Dials)
		}
		n.serve(t, calltest.Names(), silent)
		if err := n.Join(t.Context()); err != nil {
			t.Error(err)
		}
		if got := n.table.NotReady(nil).Dials; got[silent] != nil {
			t.Errorf("noted of a peer that has answered: %v", got)
		}
	})
}

// AwaitJoin begins the first join, waits for one that is under way until lookups work, and
// returns at once between two attempts.
func TestAwaitJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := calltest.ID(1)
		n := newNode(t, through(seed), "")
		wait := func(want error, spent time.Duration) {
			t.Helper()
			start := time.Now()
			if err := n.AwaitJoin(t.Context()); !errors.Is(err, want) || time.Since(start) != spent {
				t.Errorf("AwaitJoin() = %v after %v, want %v after %v", err, time.Since(start), want, spent)
			}
		}
		wait(kaderr.ErrNoContacts, calltest.RoundTrip)
		wait(kaderr.ErrNoContacts, 0)
		if n.Joins() != 1 {
			t.Errorf("%d joins, want the first", n.Joins())
		}
		n.serve(t, calltest.After(100*time.Millisecond, calltest.Names()), seed)
		n.group.Go(func(ctx context.Context) { _ = n.Join(ctx) })
		synctest.Wait()
		wait(nil, 2*calltest.RoundTrip+100*time.Millisecond) // the lookup goes on
		if !n.Running() {
			t.Error("the join is over")
		}
		wait(nil, 0)
		n.group.Cancel()
		wait(kaderr.ErrClosed, 0)
	})
}
