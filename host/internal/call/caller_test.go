package call

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
)

// A request to a peer that is connected does not wait for the turn of any dial, nor for
// another request to the same peer.
func TestConnectedPeersNeedNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{MaxDials: 1})
		c.net.Hang(calltest.ID(9))
		c.group.Go(func(ctx context.Context) { _ = c.Connect(ctx, calltest.ID(9)) })
		synctest.Wait()
		spent := roomtest.Took(func() {
			var requests sync.WaitGroup
			for range 10 {
				requests.Go(func() {
					if _, err := c.ask(t.Context(), friend); err != nil {
						t.Error(err)
					}
				})
			}
			requests.Wait()
		})
		if spent != calltest.RoundTrip {
			t.Errorf("10 requests took %v beside a dial, want a round trip", spent)
		}
	})
}

// A request that waits for its turn says so, and its time counts from the dial.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled []peer.ID
		var mu sync.Mutex
		c := newCaller(t, Config{MaxDials: 1, RequestTimeout: 2 * time.Second, Dialled: func(id peer.ID) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, id)
		}})
		c.net.Hang(calltest.ID(9))
		c.group.Go(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			_ = c.Connect(ctx, calltest.ID(9))
		})
		synctest.Wait()
		id := calltest.ID(asked)
		c.net.Add(id, calltest.After(time.Second, calltest.Names()))
		var stages []Stage
		start := time.Now()
		_, err := c.Request(t.Context(), NewTurn(), calltest.Contact(id), protocol.Ping{}, func(s Stage) { stages = append(stages, s) })
		if spent := time.Since(start); err != nil || spent < 3*time.Second {
			t.Errorf("%v after %v, want an answer after 3s of waiting", err, spent)
		}
		if !slices.Equal(stages, []Stage{Queued, Dialled, Connected}) {
			t.Errorf("stages %v, want all three", stages)
		}
		if want := []peer.ID{calltest.ID(friend), calltest.ID(9), id}; !slices.Equal(dialled, want) {
			t.Errorf("was called with dials of %v, want %v", dialled, want)
		}
		if addrs := c.net.Host().Peerstore().Addrs(id); len(addrs) != 1 {
			t.Errorf("the host has %v, want the address of the contact", addrs)
		}
	})
}

// A check that is answered, or refused, keeps a contact; one that is not counts against
// it; one that was given up changes nothing.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer calltest.Answer
		wait   time.Duration
		want   table.Outcome
		doubt  bool
	}{
		{"answers", calltest.Names(), time.Minute, table.Answered, false},
		{"refuses", calltest.Refuses, time.Minute, table.Refused, false},
		{"silent", calltest.Silent, time.Minute, table.Silent, true}, // the limit of the check ends it
		{"given up", calltest.Silent, time.Second, table.Late, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{RequestTimeout: -1})
				c.net.Add(calltest.ID(asked), calltest.Names())
				if _, err := c.ask(t.Context(), asked); err != nil {
					t.Fatal(err)
				}
				c.net.Add(calltest.ID(asked), tt.answer)
				ctx, cancel := context.WithTimeout(t.Context(), tt.wait)
				defer cancel()
				err := c.Check(ctx, calltest.Contact(calltest.ID(asked)))
				if got := OutcomeOf(err); got != tt.want || c.doubts(calltest.ID(asked)) != tt.doubt {
					t.Errorf("outcome %d, in doubt %v; want %d, %v", got, c.doubts(calltest.ID(asked)), tt.want, tt.doubt)
				}
				if requests, _, probes := c.Stats(); requests != 2 || probes != 1 {
					t.Errorf("%d requests and %d probes, want 2 and 1", requests, probes)
				}
			})
		})
	}
}

// A peer that is introduced enters the table if it answers.
func TestIntroduce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		c.net.Add(calltest.ID(2), calltest.Names())
		c.net.Add(calltest.ID(3), calltest.Refuses)
		c.net.Connect(calltest.ID(2), calltest.ID(3))
		if err := c.Introduce(t.Context(), calltest.ID(2)); err != nil || !c.table.Has(calltest.ID(2)) {
			t.Errorf("%v, in the table: %v", err, c.table.Has(calltest.ID(2)))
		}
		if err := c.Introduce(t.Context(), calltest.ID(3)); err == nil || c.table.Has(calltest.ID(3)) {
			t.Error("a peer that refuses is in the table")
		}
	})
}

// A probe has a dial of its own: it does not join one that hangs, and that no request waits
// for.
func TestIntroduceDialsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		c.net.Hang(calltest.ID(asked))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.ask(ctx, asked); err == nil {
			t.Fatal("a peer answers, though its dials hang")
		}
		c.net.Add(calltest.ID(asked), calltest.Names())
		if err := c.Introduce(t.Context(), calltest.ID(asked)); err != nil {
			t.Error(err)
		}
	})
}

// A second request beside another one records nothing.
func TestBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		if _, err := c.Beside(t.Context(), nil, calltest.Contact(calltest.ID(asked)), protocol.Ping{}); OutcomeOf(err) != table.Silent {
			t.Errorf("Beside() = %v, want silence", err)
		}
		if c.doubts(calltest.ID(asked)) {
			t.Error("in doubt, by a request that must record nothing")
		}
	})
}
