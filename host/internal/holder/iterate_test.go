package holder

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Each visits the keys of both kinds that begin with a prefix, in the order of the key
// space, over several batches; an error of visit ends it.
func TestEach(t *testing.T) {
	h := newHolder(t, Config{})
	const count = 5 * eachBatch
	for i := range count {
		if err := receive(t, h, "a peer", put(recordKey(i), "1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Provide(t.Context(), []byte(recordKey(0)), 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	prefix := routing.KeyOf([]byte(recordKey(0)))
	for _, bits := range []int{0, 1, 3, 7, 40, 255} {
		var want []string
		for i := range count {
			if routing.KeyOf([]byte(recordKey(i))).CPL(prefix) >= bits {
				want = append(want, recordKey(i))
			}
		}
		slices.SortFunc(want, func(a, b string) int {
			return slices.Compare(store.Place([]byte(a)), store.Place([]byte(b)))
		})
		want = append(want, recordKey(0)) // its announcement
		var got []string
		err := h.Each(t.Context(), prefix, bits, func(_ store.Kind, key []byte) error {
			got = append(got, string(key))
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bits: %d keys, %v; want %d", bits, len(got), err, len(want))
		}
	}
	end := errors.New("enough")
	visits := 0
	err := h.Each(t.Context(), prefix, 0, func(store.Kind, []byte) error {
		visits++
		return end
	})
	if !errors.Is(err, end) || visits != 1 {
		t.Errorf("%v after %d visits", err, visits)
	}
}

// Copies has what can be passed on: values together, announcements with a proof, and
// ours, freshly signed. With a time, it leaves out ours and what arrived after that;
// MarkSent makes an entry arrive now.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, other := newHolder(t, Config{}), newHolder(t, Config{})
		private, provider := roomtest.NewPeer(t)
		key := []byte("/s/key")
		proof := announce.Proof{Network: testProtocol, Key: key, Published: time.Now()}.Sign(private)
		signed := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}}, Proof: proof}
		unsigned := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}}}
		for _, step := range []struct {
			from peer.ID
			give protocol.Request
		}{{"a peer", put("/s/key", "a1", "b1")}, {provider, signed}, {calltest.ID(1), unsigned}} {
			if err := receive(t, h, step.from, step.give); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Provide(t.Context(), key, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		copies := func(age time.Duration) (values []protocol.Request, named []peer.ID, adds []protocol.Request) {
			t.Helper()
			values, err := h.Copies(t.Context(), store.KindValue, key, age)
			adds, err2 := h.Copies(t.Context(), store.KindProvider, key, age)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			for _, req := range adds {
				named = append(named, req.(protocol.AddProvider).Providers[0].ID)
			}
			return values, named, adds
		}
		values, named, adds := copies(0)
		if len(values) != 1 || len(RecordsIn(values[0].(protocol.PutValue))) != 2 {
			t.Errorf("values: %v", values)
		}
		if len(named) != 2 || !slices.Contains(named, h.self) || !slices.Contains(named, provider) {
			t.Errorf("announcements of %v, want ours and the signed one", named)
		}
		if candidates, err := h.Candidates(t.Context(), store.KindProvider, key, 0); err != nil || len(candidates) != len(adds) {
			t.Errorf("candidates: %v, %v; want no unsigned one", candidates, err)
		}
		for _, req := range slices.Concat(values, adds) {
			if err := receive(t, other, "a holder", req); err != nil {
				t.Errorf("%T, passed on: %v", req, err)
			}
		}
		start := time.Now()
		if values, named, _ := copies(1); len(values)+len(named) != 0 {
			t.Errorf("copies of what arrived later: %v, %v", values, named)
		}
		time.Sleep(time.Hour)
		if err := receive(t, h, "a peer", put("/s/key", "b2")); err != nil {
			t.Fatal(err)
		}
		values, named, adds = copies(time.Since(start))
		if len(values) != 1 || len(RecordsIn(values[0].(protocol.PutValue))) != 2 || !slices.Equal(named, []peer.ID{provider}) {
			t.Errorf("copies of what arrived before: %v, %v", values, named)
		}
		for _, req := range slices.Concat(values, adds) {
			if err := h.MarkSent(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if values, named, _ := copies(time.Since(start)); len(values)+len(named) != 0 || held(t, h, "/s/key") != "a1 b2" {
			t.Errorf("after they were sent: %v, %v", values, named)
		}
	})
}

// A record that is replaced while the one before is sent does not count as sent with it.
func TestMarkSentOfReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{})
		private, provider := roomtest.NewPeer(t)
		key := []byte("/s/key")
		add := func() protocol.AddProvider {
			p := announce.Proof{Network: testProtocol, Key: key, Published: time.Now()}
			return protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}}, Proof: p.Sign(private)}
		}
		old := add()
		time.Sleep(time.Minute)
		for _, step := range []struct {
			from peer.ID
			give protocol.Request
			sent protocol.Request
			kind store.Kind
		}{
			{"a peer", put("/s/key", "a1", "b1"), put("/s/key", "a1"), store.KindValue},
			{"a peer", put("/s/key", "b2"), put("/s/key", "b1"), store.KindValue},
			{provider, add(), old, store.KindProvider},
		} {
			if err := receive(t, h, step.from, step.give); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := h.MarkSent(t.Context(), step.sent); err != nil {
				t.Fatal(err)
			}
			if left, err := h.Copies(t.Context(), step.kind, key, time.Minute); err != nil || len(left) == 0 {
				t.Errorf("what arrived instead of %v counts as sent, too: %v", step.sent, err)
			}
		}
		if known, err := h.Known(t.Context(), key, time.Now()); err != nil || len(known) != 1 {
			t.Errorf("the newer announcement is gone: %v, %v", known, err)
		}
		err := h.cfg.Store.UpdateValue(t.Context(), []byte("/s/unreadable"), time.Now(), func(store.Value, bool) (store.Value, error) {
			return store.Value{Data: []byte{0xff}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := h.Len()
		for _, key := range []string{"/v/none", "/s/unreadable"} {
			if err := h.MarkSent(t.Context(), put(key, "1")); err != nil {
				t.Errorf("of a record that is gone: %v", err)
			}
		}
		if after, _ := h.Len(); after != before {
			t.Errorf("%d values are held, and %d after a record was marked that is gone", before, after)
		}
	})
}

// A hooked is a store that calls a function when announcements have been read, once.
type hooked struct {
	store.Store

	read func()
}

func (s *hooked) Provider(ctx context.Context, key []byte, id string, now time.Time) (store.Provider, error) {
	defer s.call()
	return s.Store.Provider(ctx, key, id, now)
}

func (s *hooked) Providers(ctx context.Context, key []byte, now time.Time, limit int) ([]store.Provider, error) {
	defer s.call()
	return s.Store.Providers(ctx, key, now, limit)
}

func (s *hooked) call() {
	if hook := s.read; hook != nil {
		s.read = nil
		hook()
	}
}

// An announcement that arrives while the one before it is marked, or its times are corrected, is
// not lost.
func TestAnnouncedWhileChanged(t *testing.T) {
	s := &hooked{Store: store.NewMemory(store.Limits{})}
	h := newHolder(t, Config{Store: s})
	for name, change := range map[string]func(ctx context.Context, old protocol.AddProvider) error{
		"marked": func(ctx context.Context, old protocol.AddProvider) error { return h.MarkSent(ctx, old) },
		"corrected": func(ctx context.Context, _ protocol.AddProvider) error {
			return h.correctTimes(ctx, func(_ time.Duration, received, _ *time.Time) bool {
				*received = received.Add(time.Second)
				return true
			})
		},
	} {
		key, id := roomtest.NewPeer(t)
		old := signedBy(key, id, []byte(name), 1)
		if err := receive(t, h, id, old); err != nil {
			t.Fatal(err)
		}
		newer := old
		newer.Proof = announce.Proof{Network: testProtocol, Key: old.Key, Published: time.Now().Add(time.Minute)}.Sign(key)
		held := make(chan error, 1)
		s.read = func() {
			go func() { held <- h.Announced(t.Context(), From{ID: id, At: scope.Private}, newer, time.Now()) }()
			select {
			case err := <-held:
				held <- err
			case <-time.After(20 * time.Millisecond): // it waits for its turn
			}
		}
		if err := change(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		p, err := s.Store.Provider(t.Context(), old.Key, string(id), time.Now())
		if got := announce.ParseKept(p.Addrs).Published; err != nil || got.Before(time.Now().Add(30*time.Second)) {
			t.Errorf("%s: the newer announcement is gone, held is one of %v, %v", name, got, err)
		}
		if err := s.RemoveProvider(t.Context(), old.Key, string(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// A slowStore lets other goroutines run between the read of an announcement and its
// write.
type slowStore struct{ store.Store }

func (s slowStore) Provider(ctx context.Context, key []byte, id string, now time.Time) (store.Provider, error) {
	p, err := s.Store.Provider(ctx, key, id, now)
	for range 100 {
		runtime.Gosched()
	}
	return p, err
}

// An announcement that arrives while others of its provider are held or marked is not
// lost: the newest one is held in the end.
func TestAnnouncedConcurrently(t *testing.T) {
	h := newHolder(t, Config{Store: slowStore{store.NewMemory(store.Limits{})}})
	private, provider := roomtest.NewPeer(t)
	key := []byte("a multihash")
	now := time.Now()
	add := func(i int) protocol.AddProvider {
		p := announce.Proof{Network: testProtocol, Key: key, Published: now.Add(time.Duration(i) * time.Second)}
		return protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(i)}}, Proof: p.Sign(private)}
	}
	const newest = 16
	var order []int // the newest comes first, among others that read what was held before
	for i := newest; i > 0; i-- {
		order = append(order, i)
	}
	for round, write := range []func(ctx context.Context, i int) error{
		func(ctx context.Context, i int) error { return h.Announced(ctx, From{ID: "a holder"}, add(i), now) },
		func(ctx context.Context, i int) error {
			if i == newest/2 {
				return h.Announced(ctx, From{ID: "a holder"}, add(newest), now)
			}
			return h.MarkSent(ctx, add(0))
		},
	} {
		for range 8 {
			if err := h.cfg.Store.RemoveProvider(t.Context(), key, string(provider)); err != nil {
				t.Fatal(err)
			}
			if err := h.Announced(t.Context(), From{ID: "a holder"}, add(0), now); err != nil {
				t.Fatal(err)
			}
			if err := tasks.Each(t.Context(), newest, slices.Values(order), write); err != nil {
				t.Fatal(err)
			}
			p, err := h.cfg.Store.Provider(t.Context(), key, string(provider), now)
			published := announce.ParseKept(p.Addrs).Published
			if err != nil || !published.Equal(now.Add(newest*time.Second).Truncate(time.Second)) {
				t.Fatalf("round %d: held %v, %v; want the newest", round, published, err)
			}
		}
	}
}
