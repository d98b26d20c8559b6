package publish

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// A value and an announcement are delivered to the k closest peers, held here, and
// published again until they are withdrawn; unless the interval is negative.
func TestPublish(t *testing.T) {
	for _, interval := range []time.Duration{22 * time.Hour, -1} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 20, interval)
			n.run()
			put, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0)
			if err != nil || len(put.Stored) != testK {
				t.Fatalf("Put() = %+v, %v", put, err)
			}
			announced, err := n.Announce(t.Context(), time.Now(), []byte("key"), 0)
			if err != nil || len(announced.Stored) != testK {
				t.Fatalf("Announce() = %+v, %v", announced, err)
			}
			if values, providers := n.holder.Len(); values != 1 || providers != 1 {
				t.Errorf("%d values and %d announcements are held here", values, providers)
			}
			if got := len(n.writes()); got != 2*testK {
				t.Errorf("%d writes, want %d", got, 2*testK)
			}
			time.Sleep(5 * 24 * time.Hour)
			writes, again := len(n.writes()), int(n.Republished())
			if interval < 0 {
				if writes+again+n.Len() > 0 {
					t.Errorf("%d writes, %d publications", writes, n.Len())
				}
				return
			}
			if n.Len() != 2 || again < 2*5 || again > 2*6 || writes != again*testK {
				t.Errorf("%d publications, published again %d times in five days, with %d writes", n.Len(), again, writes)
			}
			if !n.Has(store.KindValue, []byte("/v/key")) || n.Has(store.KindProvider, []byte("/v/key")) {
				t.Error("Has says the wrong kind")
			}
			if err := errors.Join(n.StopPublishing(t.Context(), []byte("/v/key")), n.StopProviding(t.Context(), []byte("key"))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * 24 * time.Hour)
			if writes := len(n.writes()); writes > 0 || n.Len() != 0 {
				t.Errorf("%d writes after all was withdrawn, %d publications", writes, n.Len())
			}
			if known, err := n.holder.Known(t.Context(), []byte("key"), time.Now()); err != nil || len(known) != 0 {
				t.Errorf("we answer for what we have stopped to provide: %v, %v", known, err)
			}
		})
	}
}

// An announcement with a lifetime is not published again, and we answer for it as long
// as it lasts.
func TestAnnounceForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		if _, err := n.Announce(t.Context(), time.Now(), []byte("key"), time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			known, err := n.holder.Known(t.Context(), []byte("key"), time.Now())
			if err != nil || len(known) != want || n.Len() != 0 {
				t.Errorf("%d are known, want %d; %d publications; %v", len(known), want, n.Len(), err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// A value that we would not hold ourselves is not delivered.
func TestPutChecksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		if err := n.PutOffline(t.Context(), time.Now(), []byte("/v/key"), []byte("2")); err != nil {
			t.Fatal(err)
		}
		for value, want := range map[string]error{"1": kaderr.ErrOldRecord, "x": kaderr.ErrInvalidRecord} {
			if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte(value), 0, 0); !errors.Is(err, want) {
				t.Errorf("Put(%q) = %v, want %v", value, err, want)
			}
		}
		if writes := n.writes(); len(writes)+n.Len() != 0 {
			t.Errorf("%d writes, %d publications", len(writes), n.Len())
		}
	})
}

// A value that no peer has stored is no publication. A value that is stored by one peer
// is, also if the time of the caller was over before all had answered.
func TestPublicationOutlivesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2, 22*time.Hour)
		n.will(n.toPuts(calltest.Refuses))
		var failed *deliver.PutError
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); !errors.As(err, &failed) || n.Len() != 0 {
			t.Errorf("Put() = %v, %d publications", err, n.Len())
		}
		n.will(n.toWrites(calltest.Refuses))
		if _, err := n.Announce(t.Context(), time.Now(), []byte("key"), 0); !errors.As(err, &failed) || n.Len() != 0 {
			t.Errorf("Announce() = %v, %d publications", err, n.Len())
		}
		n.net.Add(n.peers[0], n.toPuts(calltest.Silent))
		n.net.Add(n.peers[1], calltest.Knows(testK, n.peers...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		receipt, err := n.Put(ctx, time.Now(), []byte("/v/key"), []byte("1"), 0, 2)
		if err == nil || len(receipt.Stored) != 1 || n.Len() != 1 {
			t.Errorf("Put() = %+v, %v; %d publications", receipt, err, n.Len())
		}
	})
}

// What is published while the node is unsettled is published again when it has settled, and
// then as any other publication.
func TestRepublishWhenSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2, 22*time.Hour)
		settled := time.Now().Add(12 * time.Second)
		n.cfg.Unsettled = func(now time.Time) (time.Time, bool) { return settled, now.Before(settled) }
		n.run()
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Announce(t.Context(), time.Now(), []byte("content"), 0); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			until time.Duration
			want  uint64
		}{{11 * time.Second, 0}, {13 * time.Second, 2}, {20 * time.Minute, 2}, {22*time.Hour + time.Minute, 4}} {
			time.Sleep(time.Until(settled.Add(step.until - 12*time.Second)))
			if got := n.Republished(); got != step.want {
				t.Errorf("published again %d times after %v, want %d", got, step.until, step.want)
			}
		}
	})
}

// Publications of an earlier run are published again at their time.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		n.Publisher = New(n.cfg) // as after a restart, with the store of before
		n.Resume(t.Context())
		n.run()
		time.Sleep(10 * time.Minute) // 20 of at least 26
		if n.Len() != 1 || n.Republished() != 0 {
			t.Errorf("%d publications, published again %d times; want it to be due later", n.Len(), n.Republished())
		}
		time.Sleep(22 * time.Hour)
		if n.Republished() != 1 {
			t.Errorf("published again %d times after 22 h, want once", n.Republished())
		}
	})
}

// A publication whose file has it due later than any interval allows was made while the
// clock was ahead. It is published again at once, since when it was published is unknown.
func TestResumeAfterClockWasAhead(t *testing.T) {
	const interval = 22 * time.Hour
	for _, ahead := range []time.Duration{6 * time.Hour, 10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 20, interval)
			past := time.Now().Add(ahead)
			if _, err := n.Put(t.Context(), past, []byte("/v/key"), []byte("1"), 0, 0); err != nil {
				t.Fatal(err)
			}
			n.keep(t.Context(), past, publicationID{store.KindProvider, "key"}, nil, deliver.Receipt{})
			n.Publisher = New(n.cfg)
			n.Resume(t.Context())
			n.run()
			time.Sleep(interval)
			if n.Len() != 2 || n.Republished() < 2 {
				t.Errorf("clock %v ahead: %d publications, published again %d times after %v, want each once", ahead, n.Len(), n.Republished(), interval)
			}
			for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
				pubs, err := n.cfg.Store.Publications(t.Context(), kind, nil, 0)
				if err != nil || len(pubs) != 1 || pubs[0].Next.After(time.Now().Add(interval)) {
					t.Errorf("clock %v ahead: the store has %v, %v", ahead, pubs, err)
				}
			}
		})
	}
}

// A publication that no peer stores is tried again, soon.
func TestRepublishRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		n.run()
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		n.will(n.toPuts(calltest.Refuses))
		time.Sleep(22 * time.Hour)
		if n.Republished() != 0 || n.Len() != 1 {
			t.Fatalf("published again %d times", n.Republished())
		}
		n.will(calltest.Knows(testK, n.peers...))
		time.Sleep(republishRetry * 11 / 10)
		if n.Republished() != 1 {
			t.Errorf("published again %d times, want once", n.Republished())
		}
	})
}

// A peer that claims to hold a better value ends a publication only if it shows it.
func TestSuperseded(t *testing.T) {
	old := calltest.Fails(errors.Join(kaderr.ErrRefused, kaderr.ErrOldRecord))
	for _, tt := range []struct {
		name   string
		shows  string
		remain int
	}{{"shows it", "2", 0}, {"shows a worse one", "0", 1}, {"shows an invalid one", "x", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 20, 22*time.Hour)
				n.run()
				if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
					t.Fatal(err)
				}
				n.will(holding(tt.shows, n.toPuts(old)))
				n.writes()
				time.Sleep(23 * time.Hour)
				if writes := len(n.writes()); n.Len() != tt.remain || n.Republished() != 0 || (writes > 0) != (tt.remain > 0) {
					t.Errorf("%d publications, want %d; %d writes", n.Len(), tt.remain, writes)
				}
			})
		})
	}
}

// A value is not published again once holders have one that the validator takes for equal and
// that was put later. Where the other one was put earlier, it is.
func TestSupersededByEqual(t *testing.T) {
	for _, tt := range []struct {
		name   string
		left   time.Duration // until the other value expires, a day from now
		remain int
	}{{"put later", 23 * time.Hour, 0}, {"put earlier", time.Hour, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 20, 22*time.Hour)
				n.run()
				if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1b"), 0, 0); err != nil {
					t.Fatal(err)
				}
				others := calltest.Knows(testK, n.peers...)
				n.will(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
					resp, err := others(ctx, req)
					if get, ok := req.(protocol.GetValue); ok {
						resp.Record = &protocol.Record{Key: get.Key, Value: []byte("1a"), TTL: tt.left}
					}
					return resp, err
				})
				n.writes()
				time.Sleep(22 * time.Hour)
				published := 0
				for _, req := range n.writes() {
					if put, _ := req.(protocol.PutValue); hasValue(put, "1b") {
						published++
					}
				}
				if n.Len() != tt.remain || int(n.Republished()) != tt.remain || (published > 0) != (tt.remain > 0) {
					t.Errorf("%d publications, %d writes of ours; want %d publications", n.Len(), published, tt.remain)
				}
			})
		})
	}
}

// A put that has failed, and is tried again, replaces an equal value that was put before.
func TestRetryReplacesEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		n.run()
		n.will(holding("1b", n.toPuts(calltest.Refuses)))
		for range n.Many(t.Context(), slices.Values([]Item{{Kind: store.KindValue, Key: []byte("/v/key"), Value: []byte("1a")}})) {
		}
		n.will(holding("1b", calltest.Knows(testK, n.peers...)))
		n.writes()
		time.Sleep(republishRetry * 11 / 10)
		if writes := n.writes(); n.Republished() != 1 || n.Len() != 1 || len(writes) != testK || !hasValue(writes[0], "1a") {
			t.Errorf("published %d times, %d publications, %d writes", n.Republished(), n.Len(), len(writes))
		}
	})
}

// A value that is put while the one before is being published again is the one that is
// published from then on.
func TestPutDuringRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, time.Hour)
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		id := publicationID{store.KindValue, "/v/key"}
		due, _ := n.agenda.due(time.Now().Add(2*time.Hour), 1)
		if len(due) != 1 {
			t.Fatal("it is not due")
		}
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("2"), 0, 0); err != nil {
			t.Fatal(err)
		}
		old := store.Publication{Kind: id.kind, Key: []byte(id.key), Data: []byte("1")}
		for _, next := range []time.Time{{}, time.Now().Add(time.Hour)} { // superseded, or not
			if err := n.conclude(t.Context(), due[0], old, next); err != nil {
				t.Fatal(err)
			}
		}
		p, err := n.cfg.Store.Publication(t.Context(), id.kind, []byte(id.key))
		if err != nil || string(p.Data) != "2" || !n.agenda.has(id) {
			t.Errorf("kept %q, %v; want the new value", p.Data, err)
		}
		n.writes()
		n.run()
		time.Sleep(2 * time.Hour)
		for _, req := range n.writes() {
			if !hasValue(req, "2") {
				t.Errorf("published again: %v", req)
			}
		}
		if n.Republished() == 0 {
			t.Error("nothing was published again")
		}
	})
}

// An announcement that is withdrawn while it is being published again is not answered
// for afterwards.
func TestStopDuringRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, time.Hour)
		n.run()
		if _, err := n.Announce(t.Context(), time.Now(), []byte("key"), 0); err != nil {
			t.Fatal(err)
		}
		var stopped atomic.Bool
		n.will(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if _, ok := req.(protocol.FindNode); ok && stopped.CompareAndSwap(false, true) {
				if err := n.StopProviding(ctx, []byte("key")); err != nil {
					t.Error(err)
				}
				// As if the run had begun by making us answer only now.
				if err := n.holder.Provide(ctx, []byte("key"), 0, time.Now()); err != nil {
					t.Error(err)
				}
			}
			return calltest.Knows(testK, n.peers...)(ctx, req)
		})
		time.Sleep(2 * time.Hour)
		if known, err := n.holder.Known(t.Context(), []byte("key"), time.Now()); err != nil || len(known) != 0 || !stopped.Load() {
			t.Errorf("stopped %v; we answer for %v, %v", stopped.Load(), known, err)
		}
	})
}

// All values that are put under the key of a set at the same moment are published
// again.
func TestKeepConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0, 22*time.Hour)
		ended := make(chan struct{})
		for i := range 8 {
			go func() {
				n.keep(context.Background(), time.Now(), publicationID{store.KindValue, "/s/key"}, []byte{byte('a' + i)}, deliver.Receipt{})
				ended <- struct{}{}
			}()
		}
		for range 8 {
			<-ended
		}
		p, err := n.cfg.Store.Publication(t.Context(), store.KindValue, []byte("/s/key"))
		if err != nil || len(n.values(p)) != 8 {
			t.Fatalf("%d of 8 values are published again, %v", len(n.values(p)), err)
		}
	})
}
