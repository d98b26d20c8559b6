package replicate

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// handedTo returns the keys of the values that were sent to a peer, each time.
func (n *node) handedTo(id peer.ID) (keys []string) {
	for _, a := range n.net.Asked() {
		if put, ok := a.Req.(protocol.PutValue); ok && a.To == id {
			keys = append(keys, string(put.Record.Key))
		}
	}
	return keys
}

// neighbour returns a peer that is not in the network yet, near to the node.
func (n *node) neighbour() (id peer.ID) {
	self := n.cfg.Table.Self()
	near := -1
	for i := 1000; i < 1100; i++ {
		if cpl := routing.KeyOf([]byte(calltest.ID(i))).CPL(self); cpl > near {
			id, near = calltest.ID(i), cpl
		}
	}
	return id
}

// A newcomer is sent, once each and at 50 a second, the records that it is among the k
// closest to if we are the closest of the others. A peer that comes back within the
// interval, or within an hour where there are no rounds, is not sent them again, unless it
// lacks one of a few that it is asked for.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		n := newNode(t, 16, -1)
		n.hold(t, 0, count)
		inLoop := n.run()
		newcomer := n.neighbour()
		n.meet(t, newcomer, calltest.Knows(testK, n.peers...))
		c := routing.ContactOf(newcomer)
		var want []string
		for i := range count {
			if n.cfg.Table.HandsOver(routing.KeyOf(recordKey(i)), c.Key) {
				want = append(want, string(recordKey(i)))
			}
		}
		if len(want) < 20 {
			t.Fatalf("%d records are to be handed over", len(want))
		}
		var lost atomic.Bool // the store of the newcomer
		hand := func() []string {
			n.net.Asked()
			inLoop(func() { n.HandOver([]routing.Contact{c}) })
			time.Sleep(10 * time.Minute)
			got := n.handedTo(newcomer)
			slices.Sort(got)
			return got
		}
		slices.Sort(want)
		if got := hand(); !slices.Equal(got, want) {
			t.Errorf("%d records were handed over, want %d", len(got), len(want))
		}
		if _, handed := n.Stats(); handed != uint64(len(want)) {
			t.Errorf("%d are counted, want %d", handed, len(want))
		}
		others := calltest.Knows(testK, n.peers...)
		n.net.Add(newcomer, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			resp, err := others(ctx, req)
			if get, ok := req.(protocol.GetValue); ok && !lost.Load() {
				resp.Record = &protocol.Record{Key: get.Key, Value: []byte("1")}
			}
			return resp, err
		})
		if got := hand(); len(got) != 0 {
			t.Errorf("%d records were handed over again", len(got))
		}
		returns := func() (asked int) {
			n.net.Asked()
			inLoop(func() { n.Returned(c) })
			time.Sleep(time.Minute)
			for _, a := range n.net.Asked() {
				if get, ok := a.Req.(protocol.GetValue); ok && a.To == newcomer {
					if asked++; !slices.Contains(want, string(get.Key)) {
						t.Errorf("it is asked for %s, which it need not hold", get.Key)
					}
				}
			}
			return asked
		}
		if asked := returns(); asked != returnSample {
			t.Errorf("it returns, and is asked for %d records, want %d", asked, returnSample)
		}
		far := n.peers[slices.IndexFunc(n.peers, func(id peer.ID) bool {
			for i := range count {
				if n.cfg.Table.HandsOver(routing.KeyOf(recordKey(i)), routing.KeyOf([]byte(id))) {
					return false
				}
			}
			return true
		})]
		inLoop(func() { n.Returned(routing.ContactOf(far)) })
		time.Sleep(time.Minute)
		if asked := n.net.Asked(); len(asked) > 0 {
			t.Errorf("a peer returns that need not hold any record, and is asked %v", asked)
		}
		lost.Store(true)
		before := handedOver(n)
		if asked := returns(); asked != 0 || handedOver(n) != before {
			t.Errorf("it returns within %v, and is asked for %d records", returnPause, asked)
		}
		time.Sleep(returnPause)
		if asked := returns(); asked != 1 || handedOver(n)-before != uint64(len(want)) {
			t.Errorf("without its store: asked for %d records, %d handed over; want 1, %d", asked, handedOver(n)-before, len(want))
		}
		time.Sleep(time.Hour)
		if got := hand(); len(got) != len(want) {
			t.Errorf("%d records were handed over an hour later, want %d", len(got), len(want))
		}
		time.Sleep(2 * time.Hour)
		lost.Store(false)
		before = handedOver(n)
		if asked := returns(); asked != returnSample || handedOver(n) != before {
			t.Errorf("it returns hours later: asked for %d records, %d handed over; want %d, none", asked, handedOver(n)-before, returnSample)
		}
	})
}

// handedOver returns how many records were handed over.
func handedOver(n *node) uint64 {
	_, handed := n.Stats()
	return handed
}

// A hand-over takes a fiftieth of a second for each record, and more for a large one;
// it goes on if the newcomer refuses, ends if it fails three times, and after 5m.
func TestHandOverPace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer calltest.Answer
		size   int
		sent   func(records int) int
		lasts  func(records int) time.Duration
	}{
		{"small", calltest.Names(), 1, all, func(n int) time.Duration { return time.Duration(n) * time.Second / handoverRate }},
		{"large", calltest.Names(), 4 * handoverUnit, all, func(n int) time.Duration { return 5 * time.Duration(n) * time.Second / handoverRate }},
		{"refuses", calltest.Refuses, 1, all, func(n int) time.Duration { return time.Duration(n) * time.Second / handoverRate }},
		{"is silent", calltest.Silent, 1, func(int) int { return maxFailures }, func(int) time.Duration { return maxFailures * 10 * time.Second }},
		{"is slow", calltest.After(8*time.Second, calltest.Names()), 1, func(int) int { return 38 }, func(int) time.Duration { return handoverTimeout }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 16, 24*time.Hour)
				newcomer := n.neighbour()
				n.meet(t, newcomer, calltest.Names())
				c := routing.ContactOf(newcomer)
				records := 0
				for i := 0; records < 100 && i < 100_000; i++ {
					if !n.cfg.Table.HandsOver(routing.KeyOf(recordKey(i)), c.Key) {
						continue
					}
					records++
					rec := protocol.Record{Key: recordKey(i), Value: append([]byte("1"), make([]byte, tt.size-1)...)}
					if err := n.holder.Store(t.Context(), time.Now(), "a peer", rec); err != nil {
						t.Fatal(err)
					}
				}
				n.net.Add(newcomer, tt.answer)
				n.net.Asked()
				start := time.Now()
				_ = n.handOverTo(t.Context(), c)
				spent, want := time.Since(start), tt.lasts(records)
				if spent < want || spent > want*11/10+time.Second {
					t.Errorf("it took %v, want %v", spent, want)
				}
				if got := len(n.handedTo(newcomer)); got != tt.sent(records) {
					t.Errorf("%d of %d records were sent, want %d", got, records, tt.sent(records))
				}
			})
		})
	}
}

func all(records int) int { return records }

// The newcomers that wait are bounded: the closest ones do. So are the ones that are
// remembered: the last ones are.
func TestNewcomersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newNode(t, 1, time.Hour).Replicator
		if r.Returned(routing.ContactOf(calltest.ID(0))); len(r.newcomers.queue) != 0 {
			t.Error("a peer that has returned waits for a job that does not run")
		}
		_ = r.Newcomers()
		for i := range maxNewcomers + 10 {
			r.Returned(routing.ContactOf(calltest.ID(i)))
		}
		if got := len(r.newcomers.queue); got != maxNewcomers {
			t.Errorf("%d peers that have returned wait", got)
		}
		r.newcomers.queue = nil
		var all []routing.Contact
		for i := range maxNewcomers + 10 {
			all = append(all, routing.ContactOf(calltest.ID(i)))
			r.HandOver(all[i:])
		}
		routing.SortByDistance(r.cfg.Table.Self(), all)
		if got := r.newcomers.queue; len(got) != maxNewcomers {
			t.Errorf("%d newcomers wait", len(got))
		} else {
			for _, c := range all[:maxNewcomers] {
				if !slices.ContainsFunc(got, func(q arrival) bool { return q.ID == c.ID }) {
					t.Fatal("one of the closest does not wait")
				}
			}
		}
		now := time.Unix(0, 0)
		for i := range 3 * maxNewcomers {
			now = now.Add(time.Millisecond)
			if recent(r.newcomers.given, now, calltest.ID(i), time.Hour) {
				t.Fatalf("peer %d was given everything before", i)
			}
		}
		if got := len(r.newcomers.given); got > maxNewcomers {
			t.Errorf("%d newcomers are remembered", got)
		}
		for i := 2*maxNewcomers + 1; i < 3*maxNewcomers; i++ {
			if !recent(r.newcomers.given, now, calltest.ID(i), time.Hour) {
				t.Fatalf("peer %d, one of the last, is given everything again", i)
			}
		}
		if recent(r.newcomers.given, now.Add(time.Hour), calltest.ID(3*maxNewcomers-1), time.Hour) || len(r.newcomers.given) != maxNewcomers {
			t.Errorf("a peer that is given everything again after an hour puts another one out")
		}
	})
}

// A node that leaves sends each record to the peer that is among the k closest once it
// is gone, and none of its own announcements. It ends in time.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 100
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, count)
		for i := range count {
			if err := n.holder.Provide(t.Context(), recordKey(i), 0, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		handed := 0
		sent := make(map[string][]peer.ID)
		for _, a := range n.net.Asked() {
			switch req := a.Req.(type) {
			case protocol.PutValue:
				sent[string(req.Record.Key)] = append(sent[string(req.Record.Key)], a.To)
			case protocol.AddProvider:
				t.Errorf("sent %v", req)
			}
		}
		for i := range count {
			key := recordKey(i)
			var want []peer.ID
			if _, among := n.closest(key); among {
				peers := slices.Clone(n.peers)
				k := routing.KeyOf(key)
				slices.SortFunc(peers, func(a, b peer.ID) int { return k.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
				want = peers[testK-1 : testK]
				handed++
			}
			if !slices.Equal(sent[string(key)], want) {
				t.Errorf("%s was sent to %v, want %v", key, sent[string(key)], want)
			}
		}
		if _, got := n.Stats(); got != uint64(handed) || handed == 0 {
			t.Errorf("%d are counted, want %d", got, handed)
		}
		for _, id := range n.peers {
			n.net.Add(id, toPuts(calltest.Silent, calltest.Knows(testK, n.peers...)))
		}
		for _, limit := range []time.Duration{0, 3 * time.Second} {
			ctx, cancel := t.Context(), func() {}
			if limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, limit)
			}
			start := time.Now()
			_ = n.Leave(ctx)
			cancel()
			if limit == 0 {
				limit = leaveTimeout
			}
			if spent := time.Since(start); spent > limit+100*time.Millisecond {
				t.Errorf("it took %v, want %v at most", spent, limit)
			}
		}
	})
}

// A node that knows no peer leaves at once.
func TestLeaveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0, time.Hour)
		n.hold(t, 0, 10)
		start := time.Now()
		if err := n.Leave(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
