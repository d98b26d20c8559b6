package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// items are announcements, then values, the last of which may not be published.
func items(announcements, values int) (all []Item) {
	for i := range announcements {
		all = append(all, Item{Kind: store.KindProvider, Key: fmt.Appendf(nil, "content %d", i)})
	}
	for i := range values {
		all = append(all, Item{Kind: store.KindValue, Key: fmt.Appendf(nil, "/v/%d", i), Value: []byte("1")})
	}
	return append(all, Item{Kind: store.KindValue, Key: []byte("/v/bad"), Value: []byte("not a digit")})
}

// Each of many items is delivered to its k closest peers, with few lookups, and published
// again; one that may not be is reported, and not kept.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		done := 0
		for r := range n.Many(t.Context(), slices.Values(items(300, 200))) {
			done++
			bad := string(r.Key) == "/v/bad"
			if bad != errors.Is(r.Err, kaderr.ErrInvalidRecord) || !bad && (r.Err != nil || len(r.Receipt.Stored) < 3*testK/4) {
				t.Errorf("%q: %+v, %v", r.Key, r.Receipt, r.Err)
			}
		}
		synctest.Wait()
		writes, others := 0, 0
		for _, a := range n.net.Asked() {
			switch a.Req.(type) {
			case protocol.PutValue, protocol.AddProvider:
				writes++
			default:
				others++
			}
		}
		if done != 501 || writes != 500*testK || others > 250 || n.Len() != 500 {
			t.Errorf("%d done, %d writes, %d other requests, %d kept; want 501, %d, at most 250, and 500", done, writes, others, n.Len(), 500*testK)
		}
		n.run()
		time.Sleep(23 * time.Hour)
		if got := n.Republished(); got != 500 {
			t.Errorf("%d were published again, want 500", got)
		}
	})
}

// What was read and not published is published by the node, also if the reader stops early,
// or nobody has stored it at first.
func TestManyIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		n.run()
		n.will(n.toWrites(calltest.Refuses))
		for range n.Many(t.Context(), slices.Values(items(300, 0))) {
			break
		}
		for r := range n.Many(t.Context(), slices.Values([]Item{{Kind: store.KindProvider, Key: []byte("refused")}})) {
			if r.Err == nil {
				t.Error("no error although all peers refuse")
			}
		}
		if n.Len() != 301 {
			t.Errorf("%d are kept, want 301", n.Len())
		}
		n.writes()
		n.will(calltest.Knows(testK, n.peers...))
		time.Sleep(2 * republishRetry)
		keys := make(map[string]bool)
		for _, req := range n.writes() {
			keys[string(req.(protocol.AddProvider).Key)] = true
		}
		if len(keys) < 290 || !keys["refused"] {
			t.Errorf("%d of them are published later, the refused one: %v", len(keys), keys["refused"])
		}
	})
}

// Many ends with its context.
func TestManyIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		endless := func(yield func(Item) bool) {
			for i := 0; yield(Item{Kind: store.KindProvider, Key: fmt.Append(nil, i)}); i++ {
			}
		}
		done := 0
		for range n.Many(ctx, endless) {
			if done++; done == 100 {
				cancel()
			}
		}
		if done < 100 || done > 100+2*manyChunk {
			t.Errorf("%d were published after it was cancelled at 100", done)
		}
	})
}

// A publication comes nearer to its place in the interval with each time, and is never late;
// two keys that are near each other come together.
func TestAgain(t *testing.T) {
	n := &Publisher{cfg: Config{Interval: 22 * time.Hour, Unsettled: func(time.Time) (until time.Time, is bool) { return until, is }}}
	near := []publicationID{}
	for i := range 100000 {
		key := fmt.Append(nil, i)
		if place := store.Place(key); place[0] == 0x80 && place[1] < 4 {
			near = append(near, publicationID{store.KindProvider, string(key)})
		}
	}
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var at []time.Time
	for i, id := range near[:2] {
		now := start.Add(time.Duration(i) * 7 * time.Hour)
		for range 12 {
			next := n.again(now, id)
			if wait := next.Sub(now); wait > 22*time.Hour || wait < 22*time.Hour*9/10 {
				t.Fatalf("again after %v", wait)
			}
			now = next
		}
		at = append(at, now)
	}
	if apart := at[1].Sub(at[0]) % (22 * time.Hour); min(apart.Abs(), (22*time.Hour-apart).Abs()) > time.Minute {
		t.Errorf("neighbours are %v apart after 12 intervals", apart)
	}
}
