package deliver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// contacts returns made-up contacts.
func contacts(count int) (list []routing.Contact) {
	for i := range count {
		list = append(list, calltest.Contact(calltest.ID(i+1)))
	}
	return list
}

// adds returns what adds contacts to a sink.
func adds(to ...routing.Contact) func(context.Context, *lookup.Sink) error {
	return func(ctx context.Context, sink *lookup.Sink) error {
		sink.Add(ctx, to...)
		return nil
	}
}

// A delivery sends to so many at a time, and once to each peer. Late receivers do not keep it
// from the others.
func TestDeliverySlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := contacts(12)
		var now, most, sent atomic.Int64
		v := newDelivery(roomtest.NewGroup(t), routing.KeyOf([]byte("key")), 3, 20, 12, 100*time.Millisecond, func(ctx context.Context, c routing.Contact) error {
			sent.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			if slices.ContainsFunc(all[:3], func(silent routing.Contact) bool { return c.ID == silent.ID }) {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(30 * time.Millisecond)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		done := make(chan struct{})
		go func() {
			defer close(done)
			v.run(ctx, func(ctx context.Context, sink *lookup.Sink) error {
				sink.Add(ctx, all[:6]...)
				sink.Add(ctx, all...)
				return nil
			})
		}()
		time.Sleep(500 * time.Millisecond)
		if r := v.receipt(); len(r.Stored) != 9 || len(r.Failed) != 0 || r.Wanted != 12 {
			t.Errorf("receipt %+v after 500ms, want all but the silent ones", r)
		}
		<-done
		if r := v.receipt(); !errors.Is(r.Failed[all[0].ID], context.Canceled) {
			t.Errorf("receipt %+v, want the silent ones cancelled", r)
		}
		if sent.Load() != 12 || most.Load() > 6 { // the silent ones hold no slot after 100ms
			t.Errorf("sent %d times, %d at a time", sent.Load(), most.Load())
		}
	})
}

// A receipt has the peers in the order of their distance.
func TestReceiptOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := contacts(9)
		key := routing.KeyOf([]byte("key"))
		v := newDelivery(roomtest.NewGroup(t), key, 3, 20, 1, time.Second, func(context.Context, routing.Contact) error { return nil })
		v.run(t.Context(), adds(all...))
		routing.SortByDistance(key, all)
		if got := v.receipt().Stored; !slices.EqualFunc(got, all, func(id peer.ID, c routing.Contact) bool { return id == c.ID }) {
			t.Errorf("stored by %v, want the closest first", got)
		}
	})
}

// Taken waits until all have stored the record, or one has not, or for patience.
func TestTaken(t *testing.T) {
	errFull := errors.New("full")
	for _, tt := range []struct {
		name  string
		send  func(ctx context.Context, c routing.Contact) error
		want  bool
		after time.Duration
	}{
		{"all store", func(context.Context, routing.Contact) error { time.Sleep(30 * time.Millisecond); return nil }, true, 30 * time.Millisecond},
		{"one refuses", func(ctx context.Context, c routing.Contact) error {
			if c.ID == calltest.ID(1) {
				return errFull
			}
			<-ctx.Done()
			return nil
		}, false, 0},
		{"one is silent", func(ctx context.Context, c routing.Contact) error {
			if c.ID == calltest.ID(1) {
				<-ctx.Done()
			}
			return nil
		}, false, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newDelivery(roomtest.NewGroup(t), routing.Key{}, 10, 20, 1, 100*time.Millisecond, tt.send)
				ctx, cancel := context.WithCancel(t.Context())
				v.run(ctx, func(ctx context.Context, sink *lookup.Sink) error {
					sink.Add(ctx, contacts(3)...)
					var got bool
					if spent := roomtest.Took(func() { got = sink.Taken(ctx) }); got != tt.want || spent != tt.after {
						t.Errorf("Taken() = %v after %v, want %v after %v", got, spent, tt.want, tt.after)
					}
					cancel()
					return nil
				})
			})
		})
	}
}

// Before is called once, before the first peer is sent to, and its failure ends the delivery.
func TestBefore(t *testing.T) {
	errNo := errors.New("no")
	for name, fails := range map[string]error{"succeeds": nil, "fails": errNo} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				called, sent := 0, atomic.Int64{}
				v := newDelivery(roomtest.NewGroup(t), routing.Key{}, 3, 20, 1, time.Second, func(context.Context, routing.Contact) error { sent.Add(1); return nil })
				v.before = func() error { called++; return fails }
				v.run(t.Context(), func(ctx context.Context, sink *lookup.Sink) error {
					sink.Add(ctx) // no peer yet
					if called > 0 {
						t.Error("called without a peer")
					}
					sink.Add(ctx, contacts(2)...)
					sink.Add(ctx, contacts(4)...)
					return nil
				})
				if want := map[bool]int64{true: 4, false: 0}[fails == nil]; called != 1 || sent.Load() != want || !errors.Is(v.err, fails) {
					t.Errorf("called %d times, sent to %d, %v; want once, %d, %v", called, sent.Load(), v.err, want, fails)
				}
			})
		})
	}
}

// A delivery of a closed node fails with ErrClosed, and waits for nothing.
func TestDeliveryClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := roomtest.NewGroup(t)
		g.Cancel()
		v := newDelivery(g, routing.Key{}, 3, 20, 1, time.Second, func(context.Context, routing.Contact) error { return nil })
		v.run(t.Context(), adds(contacts(2)...))
		if r := v.receipt(); len(r.Failed) != 2 || !errors.Is(r.Failed[calltest.ID(1)], kaderr.ErrClosed) {
			t.Errorf("receipt %+v, want two peers that failed with ErrClosed", r)
		}
	})
}

// A write is an error if too few peers have stored it.
func TestReceiptCheck(t *testing.T) {
	errFull := errors.New("full")
	one := Receipt{Stored: []peer.ID{"ann"}, Failed: map[peer.ID]error{"bob": errFull}, Wanted: 2}
	none := Receipt{Failed: map[peer.ID]error{"bob": errFull}, Wanted: 1}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(kaderr.ErrClosed)
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		r      Receipt
		quorum int
		want   []error // that the error is; nil: no error
	}{
		{"stored", t.Context(), one, 0, nil},
		{"too few", t.Context(), one, 2, []error{errFull}},
		{"none", t.Context(), none, 0, []error{errFull}},
		{"given up", ended, none, 0, []error{errFull, kaderr.ErrClosed}},
		{"stored, then given up", ended, one, 0, nil},
		{"too few, then given up", ended, one, 2, []error{errFull}},
	} {
		err := tt.r.Check(tt.ctx, tt.quorum)
		var put *PutError
		if (err != nil) != (tt.want != nil) || err != nil && !errors.As(err, &put) {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, want := range tt.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want it to wrap %v", tt.name, err, want)
			}
		}
		if errors.Is(err, kaderr.ErrClosed) != slices.Contains(tt.want, kaderr.ErrClosed) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if text := (&PutError{}).Error(); text != "kad: stored by no peer: the lookup found none that answers" {
		t.Error(text)
	}
	if text := (&PutError{none}).Error(); !strings.Contains(text, "0 of 1") || !strings.Contains(text, errFull.Error()) {
		t.Error(text)
	}
	if text := (&PutError{Receipt{Stored: one.Stored, Wanted: 1}}).Error(); text != "kad: stored by 1 of 1 peers, fewer than the quorum" {
		t.Error(text)
	}
}

// A gate lets no call through whose context has ended, also if there is room.
func TestGateOfEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(kaderr.ErrClosed)
	for range 50 { // of room and end, either may be seen first
		err := newGate(1).pass(ctx, time.Second, func() error { t.Error("the call was let through"); return nil })
		if !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("pass() = %v", err)
		}
	}
}

// Without a quorum, three quarters of the peers are enough, rounded up.
func TestEnough(t *testing.T) {
	for k, want := range map[int]int{1: 1, 3: 3, 4: 3, 20: 15} {
		if got := newDelivery(nil, routing.Key{}, 1, k, 0, time.Second, nil).enough.at; got != want {
			t.Errorf("%d of %d are enough, want %d", got, k, want)
		}
	}
}
