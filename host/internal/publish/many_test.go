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
	"github.com/go-kad/kad/host/internal/deliver"
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
		n.writes()
		time.Sleep(22*time.Hour + time.Minute)
		keys := make(map[string]bool)
		for _, req := range n.writes() {
			switch req := req.(type) {
			case protocol.AddProvider:
				keys[string(req.Key)] = true
			case protocol.PutValue:
				keys[string(req.Record.Key)] = true
			}
		}
		if got := n.Republished(); len(keys) != 500 || got > 510 {
			t.Errorf("%d were published again, %d times; want 500, and a few of them twice", len(keys), got)
		}
	})
}

// Announcements have the addresses that the host has when they are sent: it may move while the
// peers are looked up.
func TestManyFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		moved := calltest.Addr(calltest.ID(500))
		others := calltest.Knows(testK, n.peers...)
		n.will(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			n.home.addr.Store(&moved)
			return others(ctx, req)
		})
		for range n.Many(t.Context(), slices.Values(items(10, 0))) {
		}
		synctest.Wait()
		writes := n.writes()
		for _, req := range writes {
			if add := req.(protocol.AddProvider); len(add.Providers[0].Addrs) != 1 || !add.Providers[0].Addrs[0].Equal(moved) {
				t.Fatalf("%q is announced at %v, want %v", add.Key, add.Providers[0].Addrs, moved)
			}
		}
		if len(writes) != 10*testK {
			t.Errorf("%d announcements, want %d", len(writes), 10*testK)
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

// What is published for the first time is not due again meanwhile, however long it takes and
// whatever else is due: it is sent once, and counts as under way.
func TestManyIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		if _, err := n.Announce(t.Context(), time.Now(), []byte("due"), 0); err != nil {
			t.Fatal(err)
		}
		n.agenda.add(publicationID{store.KindProvider, "due"}, time.Now().Add(2*time.Second))
		synctest.Wait()
		n.writes()
		n.run()
		others := calltest.Knows(testK, n.peers...)
		n.will(n.toWrites(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			time.Sleep(400 * time.Millisecond)
			return others(ctx, req)
		}))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range n.Many(t.Context(), slices.Values(items(300, 0))) {
			}
		}()
		time.Sleep(time.Second)
		if s := n.Status(); s.UnderWay != 300 || s.Soon != 1 {
			t.Errorf("status = %+v, want 300 under way, and one that is due soon", s)
		}
		<-ended
		time.Sleep(5 * time.Minute)
		sent := make(map[string]int)
		for _, req := range n.writes() {
			sent[string(req.(protocol.AddProvider).Key)]++
		}
		for key, times := range sent {
			if times != testK {
				t.Errorf("%s was sent %d times, want %d", key, times, testK)
			}
		}
		if len(sent) != 301 {
			t.Errorf("%d were sent, want 300, and the one that is due", len(sent))
		}
	})
}

// What Many was keeping or sending when it was stopped is published by the node.
func TestManyStoppedIsNotLost(t *testing.T) {
	for _, sending := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 20, 22*time.Hour)
			n.run()
			ctx, cancel := context.WithCancel(t.Context())
			n.store.publishing = func(kept int) {
				if !sending && kept == 100 {
					cancel()
				}
			}
			others := calltest.Knows(testK, n.peers...)
			n.will(n.toWrites(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				cancel()
				return others(ctx, req)
			}))
			for range n.Many(ctx, slices.Values(items(300, 0))) {
			}
			kept := n.Len()
			if s := n.Status(); kept < 100 || sending && kept != 300 || s.UnderWay > 0 {
				t.Errorf("sending: %v: status = %+v after Many has ended; want 100 kept, or all, and none under way", sending, s)
			}
			time.Sleep(2 * republishRetry)
			keys := make(map[string]bool)
			for _, req := range n.writes() {
				keys[string(req.(protocol.AddProvider).Key)] = true
			}
			if len(keys) != kept {
				t.Errorf("sending: %v: %d of %d that were kept are published", sending, len(keys), kept)
			}
		})
	}
}

// Without contacts and an address, all items fail as soon as the first one has waited for both, and
// are kept.
func TestManyWithoutContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0, 22*time.Hour)
		start := time.Now()
		failed := 0
		for r := range n.Many(t.Context(), slices.Values(items(300, 200)[:500])) {
			if errors.Is(r.Err, kaderr.ErrNoContacts) {
				failed++
			}
		}
		if took := time.Since(start); failed != 500 || n.Len() != 500 || took > 21*time.Second {
			t.Errorf("%d of 500 have failed, %d are kept, after %v; want all, all, and 20s", failed, n.Len(), took)
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
		if done < 100 || done > 100+manyChunks*manyChunk {
			t.Errorf("%d were published after it was cancelled at 100", done)
		}
	})
}

// A publication comes to its place in the interval with the first time, stays there, also if it
// is published a little before or after it, and is never late; two keys that are near each other
// come together, and keys that are published at once are spread over the interval.
func TestAgain(t *testing.T) {
	const interval, keys, parts = 22 * time.Hour, 100_000, 22
	n := &Publisher{cfg: Config{Interval: interval, Unsettled: func(time.Time) (until time.Time, is bool) { return until, is }}}
	near := []publicationID{}
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var spread [parts]int
	for i := range keys {
		key := fmt.Append(nil, i)
		id := publicationID{store.KindProvider, string(key)}
		if place := store.Place(key); place[0] == 0x80 && place[1] < 4 {
			near = append(near, id)
		}
		spread[min(parts-1, n.again(start, id, deliver.Receipt{}).Sub(start)*parts/interval)]++
	}
	for hour, got := range spread {
		least, most := keys/parts*9/10, keys/parts*11/10
		switch hour {
		case 0:
			least = keys / parts / 2 // none at once
		case parts - 1:
			most = keys / parts * 3 / 2
		}
		if got < least || got > most {
			t.Errorf("%d of %d are published again in hour %d", got, keys, hour)
		}
	}
	var at []time.Time
	for i, id := range near[:2] {
		now := start.Add(time.Duration(i) * 7 * time.Hour)
		for round := range 12 {
			next := n.again(now, id, deliver.Receipt{})
			wait := next.Sub(now)
			if wait > interval || wait < interval/republishSlack || round > 0 && wait < interval*95/100 {
				t.Fatalf("again after %v", wait)
			}
			now = next.Add([]time.Duration{0, 10 * time.Minute, -20 * time.Minute}[round%3])
		}
		at = append(at, n.again(now, id, deliver.Receipt{}))
	}
	round := interval - interval/republishSlack
	if apart := at[1].Sub(at[0]) % round; min(apart.Abs(), (round-apart).Abs()) > time.Minute {
		t.Errorf("neighbours are %v apart after 12 intervals", apart)
	}
}
