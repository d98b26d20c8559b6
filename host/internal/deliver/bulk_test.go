package deliver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// parcels returns so many parcels, each for the same count peers.
func parcels(parcels, count int) (all []*Parcel) {
	for i := range parcels {
		all = append(all, &Parcel{
			Req: protocol.PutValue{Record: protocol.Record{Key: fmt.Appendf(nil, "%d", i), Value: []byte("1")}},
			To:  contacts(count),
		})
	}
	return all
}

// keyIs reports whether a request stores something under a key.
func keyIs(req protocol.Request, key string) bool {
	p, ok := req.(protocol.PutValue)
	return ok && string(p.Record.Key) == key
}

// Parcels reach all of their peers, however many these take at once, for as many requests as
// there are parcels for each; a refused one is told from the others.
func TestBulk(t *testing.T) {
	refuses := calltest.Fails(fmt.Errorf("%w: %w", kaderr.ErrRefused, kaderr.ErrOldRecord))
	stores := calltest.Names()
	refusesOne := func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		if keyIs(req, "7") {
			return refuses(ctx, req)
		}
		return stores(ctx, req)
	}
	for _, tt := range []struct {
		name     string
		most     int
		inOne    bool
		requests uint64 // of one of the three peers, of which one refuses
		again    uint64 // of that one
	}{
		{"alone", 1, false, 50, 0},
		{"in a row", 16, false, 50, 16}, // of the burst with the refusal, each again
		{"in one message", 20, true, 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 3)
				n.net.TakeTogether(tt.most, tt.inOne)
				n.net.Add(calltest.ID(2), refusesOne)
				before, _, _ := n.cfg.Call.Stats()
				receipts := n.NewBulk().Deliver(t.Context(), parcels(50, 3))
				after, _, _ := n.cfg.Call.Stats()
				for i, r := range receipts {
					want := 3
					if i == 7 {
						want = 2
					}
					if len(r.Stored) != want || len(r.Failed) != 3-want || want < 3 && !errors.Is(r.Failed[calltest.ID(2)], kaderr.ErrOldRecord) {
						t.Errorf("parcel %d: stored by %d, failed %v", i, len(r.Stored), r.Failed)
					}
				}
				if got := after - before; got != 3*tt.requests+tt.again {
					t.Errorf("%d requests, want %d", got, 3*tt.requests+tt.again)
				}
			})
		})
	}
}

// A peer that has no room for a part of what it is sent at once is sent that part again.
func TestBulkBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		n.net.TakeTogether(20, true)
		busy, stores := calltest.Fails(fmt.Errorf("%w: %w", kaderr.ErrRefused, kaderr.ErrBusy)), calltest.Names()
		var taken atomic.Int32
		n.net.Add(calltest.ID(1), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if i := taken.Add(1); i > 5 && i <= 20 {
				return busy(ctx, req)
			}
			return stores(ctx, req)
		})
		for i, r := range n.NewBulk().Deliver(t.Context(), parcels(20, 1)) {
			if len(r.Stored) != 1 {
				t.Errorf("parcel %d: failed %v", i, r.Failed)
			}
		}
	})
}

// Where most peers become slow, the ones beyond the half are waited for: that is the network, or
// this machine. So it stays while they are slow, although they answer in the end.
func TestBulkMostBecomeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const message = 20
		n := newNode(t, 5)
		n.net.TakeTogether(message, true)
		bulk := n.NewBulk()
		for round, stored := range []int{5, 3, 4, 4} { // with 5, 3, and then one that have been in time
			for i, r := range bulk.Deliver(t.Context(), parcels(2*message, 5))[message:] {
				if len(r.Stored) != stored {
					t.Errorf("round %d, parcel %d: stored by %d, want %d", round, message+i, len(r.Stored), stored)
				}
			}
			for i, slow := range []time.Duration{9 * time.Second, 8 * time.Second, 4 * time.Second, 4 * time.Second} {
				n.net.Add(calltest.ID(i+1), func(_ context.Context, req protocol.Request) (protocol.Response, error) {
					number, err := strconv.Atoi(string(req.(protocol.PutValue).Record.Key))
					if err == nil && number < message { // in the first one: they become late one after the other
						time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					} else {
						time.Sleep(slow / message)
					}
					return protocol.Response{}, err
				})
			}
			time.Sleep(time.Minute) // the ones that are left answer
		}
	})
}

// A late peer is not waited for because of what it has refused, though no other one has stored that.
func TestBulkDoesNotWaitForRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		n.net.TakeTogether(20, true)
		for i, rest := range []calltest.Answer{calltest.Names(), calltest.Silent} {
			n.net.Add(calltest.ID(i+1), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				switch {
				case keyIs(req, "0"):
					return calltest.Refuses(ctx, req)
				case keyIs(req, "20"): // the first of the second message
					return rest(ctx, req)
				}
				return protocol.Response{}, nil
			})
		}
		var all []Receipt
		spent := roomtest.Took(func() { all = n.NewBulk().Deliver(t.Context(), parcels(40, 2)) })
		if len(all[0].Failed) != 2 || len(all[1].Stored) != 2 || len(all[20].Stored) != 1 || spent > 3*time.Second {
			t.Errorf("%v, %v and %v after %v", all[0], all[1], all[20], spent)
		}
	})
}

// A peer that is silent delays the others by the patience that there is for an answer, once: it is
// sent no more until it has answered.
func TestBulkSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 5)
		n.net.TakeTogether(20, true)
		var asked atomic.Int32
		n.net.Add(calltest.ID(3), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			asked.Add(1)
			return calltest.Silent(ctx, req)
		})
		bulk := n.NewBulk()
		spent := roomtest.Took(func() {
			for round := range 5 {
				for i, r := range bulk.Deliver(t.Context(), parcels(50, 5)) {
					failed := r.Failed[calltest.ID(3)]
					if len(r.Stored) != 4 || (round > 0) != errors.Is(failed, errBehind) {
						t.Errorf("round %d, parcel %d: stored by %d, failed %v", round, i, len(r.Stored), r.Failed)
					}
				}
			}
		})
		if spent > 3*time.Second || asked.Load() != 1 {
			t.Errorf("it took %v, and the silent peer was asked %d times", spent, asked.Load())
		}
		time.Sleep(11 * time.Second) // its time is over
		n.net.Add(calltest.ID(3), calltest.Names())
		for _, r := range bulk.Deliver(t.Context(), parcels(3, 5)) {
			if len(r.Stored) != 5 {
				t.Errorf("stored by %d once it is back: %v", len(r.Stored), r.Failed)
			}
		}
	})
}

// What no other peer has stored waits for a late peer: slow is not absent. What others have
// stored does not.
func TestBulkWaitsForTheOnlyPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 6 * time.Second
		for _, alone := range []bool{false, true} {
			n, each := newNode(t, 2), slow
			if !alone {
				n.net.TakeTogether(20, true)
				each = slow / 20
			}
			n.net.Add(calltest.ID(1), calltest.After(each, calltest.Names()))
			bulk := n.NewBulk()
			spent := roomtest.Took(func() {
				for i, r := range bulk.Deliver(t.Context(), parcels(30, 1)) {
					if len(r.Stored) != 1 || len(r.Failed) > 0 {
						t.Errorf("alone %v, parcel %d: stored by %d, failed %v", alone, i, len(r.Stored), r.Failed)
					}
				}
			})
			if spent < slow {
				t.Errorf("alone %v: it took %v, and the peer %v", alone, spent, slow)
			}
			spent = roomtest.Took(func() { bulk.Deliver(t.Context(), parcels(30, 2)) })
			if spent >= slow {
				t.Errorf("alone %v: what another peer has stored took %v", alone, spent)
			}
			time.Sleep(time.Minute)
			n.net.Add(calltest.ID(1), calltest.Silent)
			spent = roomtest.Took(func() {
				for i, r := range bulk.Deliver(t.Context(), parcels(300, 1)) {
					if len(r.Stored) > 0 || len(r.Failed) != 1 {
						t.Errorf("alone %v, parcel %d: stored by %d, failed %v", alone, i, len(r.Stored), r.Failed)
					}
				}
			})
			if spent > 30*time.Second {
				t.Errorf("alone %v: it waited %v for a silent peer", alone, spent)
			}
		}
	})
}

// A peer that is late, and takes one request at a time, is sent all of its parcels, also after
// the receipts have been read.
func TestBulkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 40
		n := newNode(t, 2)
		n.net.TakeTogether(1, false)
		var asked atomic.Int32
		slow := calltest.After(6*time.Second, calltest.Names())
		n.net.Add(calltest.ID(1), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			asked.Add(1)
			return slow(ctx, req)
		})
		for i, r := range n.NewBulk().Deliver(t.Context(), parcels(many, 2)) {
			if len(r.Stored) != 1 || len(r.Failed) > 0 {
				t.Errorf("parcel %d: stored by %d, failed %v", i, len(r.Stored), r.Failed)
			}
		}
		time.Sleep(2 * time.Minute)
		if asked.Load() != many {
			t.Errorf("the slow peer was sent %d of %d parcels", asked.Load(), many)
		}
	})
}

// Peers that are late for long hold no delivery up that another peer has stored, however many
// they are.
func TestBulkMostLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		n.net.TakeTogether(1, false)
		for i := range 2 {
			n.net.Add(calltest.ID(i+1), calltest.After(9*time.Second, calltest.Names()))
		}
		bulk := n.NewBulk()
		spent := roomtest.Took(func() {
			for i, r := range bulk.Deliver(t.Context(), parcels(1000, 3)) {
				if len(r.Stored) == 0 {
					t.Errorf("parcel %d: failed %v", i, r.Failed)
				}
			}
		})
		if spent > 2*time.Minute {
			t.Errorf("it took %v", spent)
		}
	})
}

// Where all peers take long, they are waited for, and each is sent one thing at a time, however
// many are to be sent.
func TestBulkSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 5)
		n.net.TakeTogether(20, true)
		var now, most atomic.Int32 // that one peer is being sent
		for i := range 5 {
			slow := calltest.After(time.Second/3, calltest.Names()) // each of the 15 of a message
			if i == 0 {
				inner := slow
				slow = func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
					defer now.Add(-1)
					if at := now.Add(1); at > most.Load() {
						most.Store(at)
					}
					return inner(ctx, req)
				}
			}
			n.net.Add(calltest.ID(i+1), slow)
		}
		bulk := n.NewBulk()
		var rounds sync.WaitGroup
		for range 4 {
			rounds.Go(func() {
				for i, r := range bulk.Deliver(t.Context(), parcels(15, 5)) {
					if len(r.Stored) != 5 {
						t.Errorf("parcel %d: stored by %d, failed %v", i, len(r.Stored), r.Failed)
					}
				}
			})
		}
		rounds.Wait()
		if most.Load() > 1 {
			t.Errorf("a peer was sent %d messages at a time", most.Load())
		}
	})
}

// A peer that is gone fails what it was to get, at once. What is left when ctx ends fails with
// its cause.
func TestBulkGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		n.net.TakeTogether(10, true)
		gone := calltest.ID(9)
		all := parcels(30, 3)
		for _, p := range all {
			p.To = append(p.To, calltest.Contact(gone))
		}
		for _, r := range n.NewBulk().Deliver(t.Context(), all) {
			if len(r.Stored) != 3 || !errors.Is(r.Failed[gone], calltest.ErrUnreachable) {
				t.Errorf("stored by %d, failed %v", len(r.Stored), r.Failed)
			}
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		for _, r := range n.NewBulk().Deliver(ctx, parcels(2, 3)) {
			if err := r.Failed[calltest.ID(1)]; len(r.Stored) != 0 || !errors.Is(err, why) {
				t.Errorf("stored by %d, failed %v", len(r.Stored), r.Failed)
			}
		}
	})
}
