package holder

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/store"
)

// List yields each value of each key, and each announcement, once, in the order of the key
// space, over several batches, without what has expired.
func TestList(t *testing.T) { synctest.Test(t, testList) }

func testList(t *testing.T) {
	h := newHolder(t, Config{RecordAge: time.Hour})
	const count = 3*eachBatch + 1
	want := make(map[string]int) // how often each key is yielded
	hold := func(key, value string) {
		if err := receive(t, h, "a peer", put(key, value)); err != nil {
			t.Fatal(err)
		}
	}
	hold(recordKey(count), "1") // will have expired
	time.Sleep(time.Hour)
	for i := range count {
		hold(recordKey(i), "12345")
		want[recordKey(i)]++
		if i%2 == 0 {
			if err := h.Provide(t.Context(), []byte(recordKey(i)), 0, time.Now()); err != nil {
				t.Fatal(err)
			}
			want[recordKey(i)]++
		}
	}
	hold("/s/set", "ann 1")
	hold("/s/set", "bob 1")
	want["/s/set"] = 2
	now := time.Now()
	var before *Entry
	for e, err := range h.List(t.Context(), now) {
		if err != nil {
			t.Fatal(err)
		}
		if want[string(e.Key)]--; want[string(e.Key)] < 0 {
			t.Errorf("%q is yielded too often", e.Key)
		}
		if before != nil && (before.Kind > e.Kind || before.Kind == e.Kind &&
			slices.Compare(store.Place(before.Key), store.Place(e.Key)) > 0) {
			t.Errorf("%q comes after %q", e.Key, before.Key)
		}
		before = &e
		switch value := string(e.Key) != "/s/set"; {
		case !e.Received.Equal(now):
			t.Errorf("%q was received at %v, want %v", e.Key, e.Received, now)
		case e.Kind == store.KindProvider && (e.Peer != h.self || !e.Expires.IsZero()):
			t.Errorf("the announcement of %q is of %s, and expires at %v", e.Key, e.Peer, e.Expires)
		case e.Kind == store.KindValue && value && (e.Size != 5 || !e.Expires.Equal(now.Add(time.Hour))):
			t.Errorf("the value of %q has %d bytes, and expires at %v", e.Key, e.Size, e.Expires)
		}
	}
	for key, missing := range want {
		if missing != 0 {
			t.Errorf("%q is missing %d times", key, missing)
		}
	}
}

// List ends with its reader, with its context, and with an error of the store.
func TestListEnds(t *testing.T) {
	s := &failing{Store: store.NewMemory(store.Limits{})}
	h := newHolder(t, Config{Store: s})
	for i := range 3 {
		if err := receive(t, h, "a peer", put(recordKey(i), "1")); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for range h.List(t.Context(), time.Now()) {
		if seen++; seen == 2 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("%d entries are yielded to a reader that leaves after 2", seen)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("over")
	cancel(cause)
	if err := lastOf(ctx, h); !errors.Is(err, cause) {
		t.Errorf("List() with a context that has ended: %v", err)
	}
	s.err = errors.New("bad disk")
	if err := lastOf(t.Context(), h); !errors.Is(err, s.err) {
		t.Errorf("List() of a store that fails: %v", err)
	}
}

// lastOf returns the error that a list ends with.
func lastOf(ctx context.Context, h *Holder) (last error) {
	for _, err := range h.List(ctx, time.Now()) {
		last = err
	}
	return last
}

// A failing is a store whose announcements cannot be read, once err is set.
type failing struct {
	store.Store

	err error
}

func (f *failing) ProviderKeys(ctx context.Context, now time.Time, from []byte, limit int) ([][]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Store.ProviderKeys(ctx, now, from, limit)
}
