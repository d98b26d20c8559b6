package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/go-kad/kad/host/store"
)

// A progress counts what is read, done and failed, and the part that is done of what was read last.
func TestProgress(t *testing.T) {
	var p progress
	for range 4 {
		p.read()
	}
	if got, want := p.done(nil), (Progress{Read: 4, Done: 1, Part: 0.25}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for range 3 {
		p.done(errNoCID)
	}
	if got, want := p.Progress, (Progress{Read: 4, Done: 4, Failed: 3, Part: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for range 2 {
		p.read()
	}
	if got, want := p.refused(), (Progress{Read: 7, Done: 5, Failed: 4, Part: 1}); got != want {
		t.Errorf("%+v after what is not published, want %+v", got, want)
	}
	if got, want := p.done(nil), (Progress{Read: 7, Done: 6, Failed: 4, Part: 0.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for total, want := range map[int]time.Duration{0: 0, 6: 0, 12: time.Minute} {
		if got := p.Left(time.Minute, total); got != want {
			t.Errorf("%v left of %d, want %v", got, total, want)
		}
	}
	if got := new(progress).Left(time.Minute, 10); got != 0 {
		t.Errorf("%v left before the first is done, want 0", got)
	}
}

// A slowStore takes a second for each announcement that it removes, and fails for one key.
type slowStore struct {
	store.Store

	failing  string
	underWay atomic.Int64
	most     atomic.Int64
}

var errStore = errors.New("a broken store")

func (s *slowStore) RemoveProvider(ctx context.Context, key []byte, id string) error {
	now := s.underWay.Add(1)
	defer s.underWay.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); {
		most = s.most.Load()
	}
	time.Sleep(time.Second)
	if string(key) == s.failing {
		return errStore
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.RemoveProvider(ctx, key, id)
}

// Many contents are withdrawn 64 at a time. One that fails does not end the others; the end of the
// context does.
func TestStopProvidingMany(t *testing.T) { synctest.Test(t, testStopProvidingMany) }

func testStopProvidingMany(t *testing.T) {
	held := &slowStore{Store: store.NewMemory(store.Limits{})}
	n := newTestNet(t)
	d := n.node(Config{Store: held})
	meet(t, d, n.crowd(1)...)
	var contents []cid.Cid
	for i := range 3 * withdrawing {
		contents = append(contents, testCID(fmt.Sprint("content ", i)))
	}
	announce := func() {
		t.Helper()
		for r := range d.AnnounceMany(t.Context(), slices.Values(contents)) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		if got := d.Stats().Publications; got != len(contents) {
			t.Fatalf("%d publications, want %d", got, len(contents))
		}
	}

	announce()
	held.failing = string(contents[5].Hash())
	began := time.Now()
	err := d.StopProvidingMany(t.Context(), slices.Values(append(slices.Clone(contents), cid.Undef)))
	if !errors.Is(err, errStore) && !errors.Is(err, errNoCID) || !strings.Contains(err.Error(), "2 withdrawals") {
		t.Errorf("%v, want the first of 2 failures", err)
	}
	if took := time.Since(began); took > 4*time.Second || held.most.Load() != withdrawing {
		t.Errorf("it took %v, with %d at a time; want 3 s and %d", took, held.most.Load(), withdrawing)
	}
	if got := d.Stats().Publications; got != 0 {
		t.Errorf("%d publications are left", got)
	}

	announce()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	err = d.StopProvidingMany(ctx, slices.Values(contents))
	if got := d.Stats().Publications; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errStore) || got == 0 || got == len(contents) {
		t.Errorf("%v, %d publications are left; want that it ends with its context, and the first failure", err, got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.StopProvidingMany(t.Context(), slices.Values(contents)); !errors.Is(err, ErrClosed) {
		t.Errorf("%v after Close, want ErrClosed", err)
	}
}
