package holder

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

// The job removes what has expired, more than one batch at once, within a minute after
// its time, and is due rarely while there is nothing to do.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{RecordAge: 10 * time.Hour})
		var asked atomic.Int32
		job := h.Expire()
		counted := job
		counted.Due = func(now time.Time, start *tasks.Start) time.Time {
			asked.Add(1)
			return job.Due(now, start)
		}
		group := tasks.NewGroup()
		loop := tasks.NewLoop(group)
		loop.Add(counted)
		done := make(chan struct{})
		go func() {
			defer close(done)
			loop.Run(group.Context(), nil, func(time.Time, any) {})
		}()
		time.Sleep(time.Minute)
		for i := range 4*expireBatch + 10 {
			if err := receive(t, h, "a peer", put(recordKey(i), "1")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(9 * time.Hour)
		if values, _ := h.Len(); values != 4*expireBatch+10 {
			t.Errorf("%d values are left before their time", values)
		}
		if asked := asked.Load(); asked > 20 {
			t.Errorf("the job was asked %d times in nine hours without work", asked)
		}
		time.Sleep(time.Hour + expireAfter)
		if values, _ := h.Len(); values != 0 {
			t.Errorf("%d values are left after their time", values)
		}
		group.Cancel()
		<-done
	})
}

// A countedSweeps is a store that counts its sweeps, and says what it has removed and when the
// next entry expires.
type countedSweeps struct {
	store.Store

	sweeps  atomic.Int32
	removed int
	next    func(now time.Time) time.Time
	err     error
}

func (s *countedSweeps) Expire(_ context.Context, now time.Time, _ int) (int, time.Time, error) {
	s.sweeps.Add(1)
	return s.removed, s.next(now), s.err
}

// There is at most one sweep a minute: if something expires sooner, if nothing ever does, and if
// the store fails.
func TestSweepsAreRare(t *testing.T) {
	soon := func(now time.Time) time.Time { return now.Add(time.Second) }
	never := func(time.Time) time.Time { return time.Time{} }
	for name, s := range map[string]*countedSweeps{
		"expires soon": {next: soon}, "never expires": {next: never}, "fails": {next: never, removed: expireBatch, err: errors.New("bad disk")},
	} {
		synctest.Test(t, func(t *testing.T) {
			s.Store = store.NewMemory(store.Limits{})
			h := newHolder(t, Config{Store: s})
			group := tasks.NewGroup()
			loop := tasks.NewLoop(group)
			loop.Add(h.Expire())
			done := make(chan struct{})
			go func() {
				defer close(done)
				loop.Run(group.Context(), nil, func(time.Time, any) {})
			}()
			time.Sleep(clockSettles + 10*expireAfter + time.Second)
			if sweeps := s.sweeps.Load(); sweeps < 9 || sweeps > 12 {
				t.Errorf("%s: %d sweeps in ten minutes", name, sweeps)
			}
			group.Cancel()
			<-done
		})
	}
}

// What a sweep has said of the next entry by a clock that was wrong does not delay the next sweep
// once the clock is right.
func TestSweepBeforeClockWasRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{RecordAge: 2 * time.Hour})
		s := &sweep{holder: h, clock: tasks.Evenness{Slept: h.slept}, ended: true, next: time.Now().Add(100 * time.Hour)}
		group := tasks.NewGroup()
		loop := tasks.NewLoop(group)
		loop.Add(tasks.Job{Name: "expire", Due: s.due})
		done := make(chan struct{})
		go func() {
			defer close(done)
			loop.Run(group.Context(), nil, func(time.Time, any) {})
		}()
		if err := receive(t, h, "a peer", put(recordKey(0), "1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + 2*expireAfter)
		if values, _ := h.Len(); values != 0 {
			t.Error("a value is held after its time")
		}
		group.Cancel()
		<-done
	})
}

// A holder that k others are nearer than keeps a record for half as long, and our own
// for its whole age.
func TestFarHolderForgetsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{RecordAge: 16 * time.Hour})
		far := recordKey(0)
		for i := 1; routing.KeyOf([]byte(far)).CPL(h.cfg.Table.Self()) > 0; i++ {
			far = recordKey(i)
		}
		for i, added := 0, 0; added < h.cfg.K; i++ {
			c := routing.ContactOf(calltest.ID(i))
			if c.Key.CPL(routing.KeyOf([]byte(far))) == 0 {
				continue
			}
			h.cfg.Host.Peerstore().AddAddrs(c.ID, addrOf(i), peerstore.PermanentAddrTTL)
			h.cfg.Table.Heard(c, table.Answered, 0)
			added = h.cfg.Table.CountCloser(routing.KeyOf([]byte(far)))
		}
		for from, want := range map[peer.ID]time.Duration{"a peer": 8 * time.Hour, h.self: 16 * time.Hour} {
			if got := h.expiry(time.Now(), []byte(far), from, 0); !got.Equal(time.Now().Add(want)) {
				t.Errorf("a record of %q is held for %v, want %v", from, time.Until(got), want)
			}
		}
		h.cfg.Caching = false
		if got := h.expiry(time.Now(), []byte(far), "a peer", 0); !got.Equal(time.Now().Add(16 * time.Hour)) {
			t.Errorf("without caching, for %v", time.Until(got))
		}
	})
}
