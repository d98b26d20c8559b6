package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script drives a lookup: a contact answers with the peers that knows has for it, and never
// if knows does not have it.
func script(ctx context.Context, t *testing.T, knows map[peer.ID][]peer.ID, seeds ...peer.ID) (routing.Result, error) {
	t.Helper()
	var contacts []routing.Contact
	for _, id := range seeds {
		contacts = append(contacts, routing.ContactOf(id))
	}
	l := routing.NewLookup("self", routing.KeyOf([]byte("target")), contacts, routing.LookupConfig{SlowAfter: time.Second})
	_, err := drive(ctx, roomtest.NewGroup(t), l,
		func(ctx context.Context, c routing.Contact, _ peer.ID, _ func(call.Stage)) (resp protocol.Response, err error) {
			closer, ok := knows[c.ID]
			if !ok {
				<-ctx.Done()
				return resp, ctx.Err()
			}
			time.Sleep(30 * time.Millisecond)
			for _, id := range closer {
				resp.Closer = append(resp.Closer, protocol.Peer{ID: id})
			}
			return resp, nil
		},
		nil, func(_ context.Context, a answer) { feed(l, a) })
	return l.Result(), err
}

// feed hands an answer to a lookup, and reports whether the lookup awaits it.
func feed(l *routing.Lookup, a answer) bool {
	if a.err != nil {
		return l.Failed(a.from.ID)
	}
	var closer []routing.Contact
	for _, p := range a.resp.Closer {
		closer = append(closer, routing.ContactOf(p.ID))
	}
	return l.Answered(a.from.ID, closer)
}

// A lookup asks the peers that it hears of, and ends when none is left to ask.
func TestDrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var result routing.Result
		var err error
		knows := map[peer.ID][]peer.ID{"ann": {"bob"}, "bob": {"cat"}, "cat": nil}
		spent := roomtest.Took(func() { result, err = script(t.Context(), t, knows, "ann") })
		if err != nil || len(result.Closest) != 3 || spent != 90*time.Millisecond {
			t.Errorf("found %v, %v, in %v; want three, in 90ms", result.Closest, err, spent)
		}
	})
}

// Contacts that do not answer cost a lookup SlowAfter, however many there are, and are not
// in the result.
func TestDriveSkipsSlowContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var result routing.Result
		var err error
		knows := map[peer.ID][]peer.ID{"ann": {"bob"}, "bob": nil}
		spent := roomtest.Took(func() { result, err = script(t.Context(), t, knows, "ann", "hung", "stuck") })
		if err != nil || len(result.Closest) != 2 || spent != time.Second {
			t.Errorf("found %v, %v in %v; want the two that answer, after SlowAfter", result.Closest, err, spent)
		}
	})
}

// A lookup that is cancelled returns the cause and what it has found, at once, and leaves no
// request behind.
func TestDriveCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errEnough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(500*time.Millisecond, func() { cancel(errEnough) })
		var result routing.Result
		var err error
		spent := roomtest.Took(func() { result, err = script(ctx, t, map[peer.ID][]peer.ID{"ann": nil}, "ann", "hung") })
		if !errors.Is(err, errEnough) || len(result.Closest) != 1 || spent != 500*time.Millisecond {
			t.Errorf("drive() = %v, %v after %v; want ann and the cause, after 500ms", result.Closest, err, spent)
		}
	})
}

// A dial and its answer each have the time that is expected of an answer.
func TestDialHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seeds []routing.Contact
		for _, id := range []peer.ID{"near", "far"} {
			c := routing.ContactOf(id)
			c.Expect = 150 * time.Millisecond
			seeds = append(seeds, c)
		}
		l := routing.NewLookup("self", routing.KeyOf([]byte("target")), seeds, routing.LookupConfig{})
		_, err := drive(t.Context(), roomtest.NewGroup(t), l, func(_ context.Context, c routing.Contact, _ peer.ID, reaches func(call.Stage)) (protocol.Response, error) {
			if c.ID == "far" {
				time.Sleep(100 * time.Millisecond)
				reaches(call.Connected)
			}
			time.Sleep(100 * time.Millisecond)
			return protocol.Response{}, nil
		}, nil, func(_ context.Context, a answer) { l.Answered(a.from.ID, nil) })
		if got := l.Result().Closest; err != nil || len(got) != 2 { // one has taken 200ms
			t.Errorf("found %v, %v; want both", got, err)
		}
	})
}

// A request that a lookup drops is cancelled, while others go on.
func TestDriveDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := routing.KeyOf([]byte("target"))
		seeds := []routing.Contact{routing.ContactOf("ann"), routing.ContactOf("bob"), routing.ContactOf("cat"), routing.ContactOf("dan")}
		routing.SortByDistance(target, seeds)
		last := seeds[3].ID
		l := routing.NewLookup("self", target, seeds, routing.LookupConfig{Alpha: 1, SlowAfter: 100 * time.Millisecond})
		start := time.Now()
		ends := make(chan time.Duration, len(seeds))
		_, err := drive(t.Context(), roomtest.NewGroup(t), l, func(ctx context.Context, c routing.Contact, _ peer.ID, _ func(call.Stage)) (protocol.Response, error) {
			if c.ID != last {
				<-ctx.Done()
				ends <- time.Since(start)
			}
			return protocol.Response{}, nil
		}, nil, func(_ context.Context, a answer) { l.Answered(a.from.ID, nil) })
		if got := l.Result().Closest; err != nil || len(got) != 1 || got[0].ID != last {
			t.Errorf("found %v, %v; want the one that answers", got, err)
		}
		// Two may be in flight, slow ones included.
		for _, want := range []time.Duration{200 * time.Millisecond, 300 * time.Millisecond} {
			if got := <-ends; got != want {
				t.Errorf("a request ended after %v, want %v", got, want)
			}
		}
		if got := <-ends; got != 300*time.Millisecond+call.StragglerTime {
			t.Errorf("the last request ended after %v, want it to go on for %v", got, call.StragglerTime)
		}
	})
}

// BenchmarkLookup is a lookup among 100 peers without streams: the cost of the driver.
func BenchmarkLookup(b *testing.B) {
	const size = 100
	all := make([]routing.Contact, size)
	for i := range all {
		all[i] = routing.ContactOf(peer.ID(fmt.Sprintf("peer-%d", i)))
	}
	answers := make(map[peer.ID]protocol.Response)
	for _, c := range all {
		near := slices.Clone(all)
		routing.SortByDistance(c.Key, near)
		var resp protocol.Response
		for _, c := range near[:20] {
			resp.Closer = append(resp.Closer, protocol.Peer{ID: c.ID})
		}
		answers[c.ID] = resp
	}
	group := roomtest.NewGroup(b)
	b.ReportAllocs()
	for b.Loop() {
		l := routing.NewLookup("self", routing.KeyOf([]byte("target")), all[:5], routing.LookupConfig{})
		_, err := drive(b.Context(), group, l,
			func(_ context.Context, c routing.Contact, _ peer.ID, _ func(call.Stage)) (protocol.Response, error) {
				return answers[c.ID], nil
			},
			nil, func(_ context.Context, a answer) {
				closer := make([]routing.Contact, 0, len(a.resp.Closer))
				for _, p := range a.resp.Closer {
					closer = append(closer, routing.ContactOf(p.ID))
				}
				l.Answered(a.from.ID, closer)
			})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Where contacts fail, a near contact is asked once more: about another peer than the
// target. What it names then is heard.
func TestDriveAsksAboutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seeds []routing.Contact
		for i := range 60 {
			seeds = append(seeds, routing.ContactOf(peer.ID(fmt.Sprint("peer ", i))))
		}
		target := routing.KeyOf([]byte("target"))
		routing.SortByDistance(target, seeds)
		l := routing.NewLookup("self", target, seeds, routing.LookupConfig{
			K: 20, SlowAfter: time.Second, Size: routing.Estimate{Nodes: 100, Error: 0.05}, Failing: 0.3,
		})
		var mu sync.Mutex
		about := make(map[peer.ID]int)
		_, err := drive(t.Context(), roomtest.NewGroup(t), l,
			func(_ context.Context, c routing.Contact, other peer.ID, _ func(call.Stage)) (resp protocol.Response, err error) {
				if other != "" { // the lookup may be over before it is answered
					mu.Lock()
					about[other]++
					mu.Unlock()
				}
				time.Sleep(30 * time.Millisecond)
				switch {
				case other == c.ID:
					t.Errorf("%v is asked about itself", c.ID)
				case other != "":
					resp.Closer = []protocol.Peer{{ID: "told"}}
				case c.ID[len(c.ID)-1] == '3':
					return resp, errors.New("gone")
				}
				return resp, nil
			},
			nil, func(_ context.Context, a answer) {
				if !feed(l, a) && a.err == nil {
					t.Errorf("the answer of %v is not awaited", a.from.ID)
				}
			})
		synctest.Wait() // requests may be under way still
		mu.Lock()
		defer mu.Unlock()
		if err != nil || len(about) == 0 || len(l.Result().Closest) != 20 {
			t.Errorf("asked about %v, found %d, %v", about, len(l.Result().Closest), err)
		}
	})
}
