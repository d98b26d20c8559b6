package holder

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

const year = 365 * 24 * time.Hour

// A clock is the clock of a machine that was set: ahead, or back.
type clock struct{ ahead atomic.Int64 }

func (c *clock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

func (c *clock) now() time.Time {
	return roomtest.SetClock(time.Now(), time.Duration(c.ahead.Load()))
}

// sweeping runs the job that removes what has expired, by the clock, until the test ends. The
// system does not tell for how long it has slept.
func sweeping(t *testing.T, h *Holder, c *clock) {
	t.Helper()
	sweepingOn(t, h, c, func() (time.Duration, bool) { return 0, false })
}

// sweepingOn is sweeping on a system.
func sweepingOn(t *testing.T, h *Holder, c *clock, slept func() (time.Duration, bool)) {
	t.Helper()
	h.slept = slept
	job := h.Expire()
	group, done := tasks.NewGroup(), make(chan struct{})
	loop := tasks.NewLoop(group)
	loop.Add(tasks.Job{Name: job.Name, Due: func(_ time.Time, start *tasks.Start) time.Time {
		if next := job.Due(c.now(), start); !next.IsZero() {
			return time.Now().Add(min(next.Sub(c.now()), time.Minute))
		}
		return time.Time{}
	}})
	go func() { defer close(done); loop.Run(group.Context(), nil, func(time.Time, any) {}) }()
	t.Cleanup(func() { group.Cancel(); <-done })
}

// stores are the kinds of stores, each empty.
var stores = map[string]func(t *testing.T) store.Store{
	"memory": func(*testing.T) store.Store { return store.NewMemory(store.Limits{}) },
	"datastore": func(t *testing.T) store.Store {
		s, err := store.Wrap(t.Context(), dssync.MutexWrap(datastore.NewMapDatastore()), store.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
	"disk": func(t *testing.T) store.Store {
		s, err := store.Open(filepath.Join(t.TempDir(), "records"), store.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	},
}

// inStores runs a test with each kind of store, in virtual time.
func inStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, open(t)) }) })
	}
}

// arrive has a holder hold a value, a set of two, and an announcement, by a clock.
func arrive(t *testing.T, h *Holder, now time.Time) {
	t.Helper()
	for _, req := range []protocol.PutValue{put("/v/key", "1"), put("/s/key", "a1"), put("/s/key", "b1")} {
		if err := h.Store(t.Context(), now, "a peer", req.Record); err != nil {
			t.Fatal(err)
		}
	}
	key, provider := roomtest.NewPeer(t)
	content := []byte("a multihash")
	for _, proof := range [][]byte{nil, announce.Proof{Network: testProtocol, Key: content, Published: now}.Sign(key)} {
		add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}}, Proof: proof}
		if err := h.Announced(t.Context(), From{ID: provider, At: scope.Private}, add, now); err != nil {
			t.Fatal(err)
		}
	}
}

// held returns how many values and announcements are served.
func (h *Holder) served(t *testing.T, now time.Time) (served int) {
	t.Helper()
	for _, key := range []string{"/v/key", "/s/key"} {
		records, err := h.Records(t.Context(), []byte(key), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.TTL > h.cfg.RecordAge {
				t.Errorf("a record is sent with a lifetime of %v", r.TTL)
			}
		}
		served += len(records)
	}
	providers, err := h.Providers(t.Context(), nil, From{ID: "a peer", At: scope.Private}, []byte("a multihash"), now)
	if err != nil {
		t.Fatal(err)
	}
	return served + len(providers)
}

// copies returns how many requests a round would send.
func (h *Holder) copies(t *testing.T) (copies int) {
	t.Helper()
	for kind, keys := range map[store.Kind][]string{store.KindValue: {"/v/key", "/s/key"}, store.KindProvider: {"a multihash"}} {
		for _, key := range keys {
			requests, err := h.Copies(t.Context(), kind, []byte(key), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			copies += len(requests)
		}
	}
	return copies
}

// What arrived while the clock was ahead lives for its lifetime once the clock is right, as
// after a restart: no longer, and no shorter. The rounds pass it on meanwhile.
func TestArrivedWhileClockWasAhead(t *testing.T) {
	inStores(t, func(t *testing.T, s store.Store) {
		h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
		arrive(t, h, time.Now().Add(10*year))
		if got := h.served(t, time.Now()); got != 4 {
			t.Errorf("%d of 4 served at once", got)
		}
		if got := h.copies(t); got != 3 {
			t.Errorf("a round sends %d of 3 requests", got)
		}
		sweeping(t, h, new(clock))
		time.Sleep(clockSettles + 47*time.Hour)
		if got := h.served(t, time.Now()); got != 4 {
			t.Errorf("%d of 4 served in their lifetime", got)
		}
		time.Sleep(time.Hour + 4*expireAfter) // the set is seen a minute later at most, and entries may take two sweeps
		if values, providers := h.Len(); values+providers > 0 || h.served(t, time.Now()) > 0 {
			t.Errorf("%d values and %d announcements are held after their lifetime", values, providers)
		}
	})
}

// While the clock is ahead for a while, nothing that is held is lost: it is served again
// when the clock is right.
func TestClockGoesAheadAndBack(t *testing.T) {
	for _, ahead := range []time.Duration{5 * time.Hour, 72 * time.Hour, 10 * year} {
		inStores(t, func(t *testing.T, s store.Store) {
			h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
			c := new(clock)
			sweeping(t, h, c)
			time.Sleep(2 * time.Hour)
			arrive(t, h, c.now())
			c.set(ahead)
			time.Sleep(50 * time.Minute)
			if ahead > 48*time.Hour && h.served(t, c.now()) != 0 {
				t.Error("served after their lifetime, by the clock")
			}
			c.set(0)
			time.Sleep(44 * time.Hour)
			if got := h.served(t, c.now()); got != 4 {
				t.Errorf("%v ahead and back: %d of 4 served", ahead, got)
			}
			time.Sleep(4 * time.Hour)
			if values, providers := h.Len(); values+providers > 0 {
				t.Errorf("%v ahead and back: %d values and %d announcements are held after their lifetime", ahead, values, providers)
			}
		})
	}
}

// A machine that begins with a clock of long ago, as without a battery, loses nothing of an
// earlier run when the network sets its clock.
func TestClockBehindAtStart(t *testing.T) {
	inStores(t, func(t *testing.T, s store.Store) {
		h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
		arrive(t, h, time.Now())
		c := new(clock)
		c.set(-10 * year)
		sweeping(t, h, c)
		time.Sleep(10 * time.Minute)
		if got := h.served(t, c.now()); got != 4 {
			t.Errorf("%d of 4 served with the wrong clock", got)
		}
		c.set(0)
		time.Sleep(46 * time.Hour)
		if got := h.served(t, c.now()); got != 4 {
			t.Errorf("%d of 4 served with the right clock", got)
		}
		time.Sleep(4 * time.Hour)
		if values, providers := h.Len(); values+providers > 0 {
			t.Errorf("%d values and %d announcements are held after their lifetime", values, providers)
		}
	})
}

// What arrives in the first minutes of a machine that begins with a clock of another time, as
// without a battery, lives for its lifetime once the network sets the clock: it is served at
// once, for no longer and no shorter.
func TestArrivedBeforeClockWasSet(t *testing.T) {
	for _, ahead := range []time.Duration{-10 * year, -72 * time.Hour, -10 * time.Minute, 5 * time.Hour, 10 * year} {
		inStores(t, func(t *testing.T, s store.Store) {
			h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
			c := new(clock)
			c.set(ahead)
			sweeping(t, h, c)
			time.Sleep(5 * time.Minute)
			arrive(t, h, c.now())
			time.Sleep(20 * time.Minute)
			c.set(0)
			time.Sleep(2 * time.Minute)
			if got := h.served(t, c.now()); got != 4 {
				t.Errorf("%v: %d of 4 served once the clock is right", ahead, got)
			}
			time.Sleep(47*time.Hour + 30*time.Minute)
			if got := h.served(t, c.now()); got != 4 {
				t.Errorf("%v: %d of 4 served in their lifetime", ahead, got)
			}
			if got := h.copies(t); got != 3 {
				t.Errorf("%v: a round sends %d of 3 requests", ahead, got)
			}
			time.Sleep(10 * time.Minute)
			if got := h.served(t, c.now()); got != 0 {
				t.Errorf("%v: %d served after their lifetime", ahead, got)
			}
			time.Sleep(2 * time.Hour)
			if values, providers := h.Len(); values+providers > 0 {
				t.Errorf("%v: %d values and %d announcements are held after their lifetime", ahead, values, providers)
			}
		})
	}
}

// A broken store fails for a while, or from time to time.
type broken struct {
	store.Store

	mu    sync.Mutex
	until time.Time // it fails until then
	every int       // and one of so many calls; 0: none
	calls int
}

func (b *broken) fails() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls++; time.Now().Before(b.until) || b.every > 0 && b.calls%b.every == 0 {
		return syscall.EIO
	}
	return nil
}

func (b *broken) Values(ctx context.Context, now time.Time, from []byte, limit int) ([]store.KeyedValue, error) {
	if err := b.fails(); err != nil {
		return nil, err
	}
	return b.Store.Values(ctx, now, from, limit)
}

func (b *broken) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(store.Value, bool) (store.Value, error)) error {
	if err := b.fails(); err != nil {
		return err
	}
	return b.Store.UpdateValue(ctx, key, now, f)
}

func (b *broken) AddProvider(ctx context.Context, key []byte, p store.Provider) error {
	if err := b.fails(); err != nil {
		return err
	}
	return b.Store.AddProvider(ctx, key, p)
}

// The times of what is held are right once the store works again that has failed when the clock
// jumped: each is corrected once, and nothing is lost.
func TestClockJumpsWhileStoreFails(t *testing.T) {
	for _, tt := range []struct {
		ahead, fails time.Duration
		every        int
	}{{-10 * year, 3 * time.Hour, 0}, {-10 * time.Minute, 0, 2}, {10 * year, 0, 3}} {
		synctest.Test(t, func(t *testing.T) {
			b := &broken{Store: store.NewMemory(store.Limits{})}
			h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: b})
			c := new(clock)
			c.set(tt.ahead)
			sweeping(t, h, c)
			time.Sleep(5 * time.Minute)
			arrive(t, h, c.now())
			time.Sleep(20 * time.Minute)
			b.mu.Lock()
			b.until, b.every = time.Now().Add(tt.fails), tt.every
			b.mu.Unlock()
			c.set(0)
			time.Sleep(47*time.Hour + 30*time.Minute)
			if got := h.served(t, c.now()); got != 4 {
				t.Errorf("%+v: %d of 4 served in their lifetime", tt, got)
			}
			time.Sleep(3 * time.Hour)
			if values, providers := h.Len(); values+providers > 0 {
				t.Errorf("%+v: %d values and %d announcements are held after their lifetime", tt, values, providers)
			}
		})
	}
}

// An announcement that a provider has signed lives by the clock of the provider, also when the
// clock of the holder was wrong by hours at first.
func TestSignedBeforeClockWasSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{RecordAge: 48 * time.Hour})
		c := new(clock)
		c.set(5 * time.Hour)
		sweeping(t, h, c)
		time.Sleep(5 * time.Minute)
		key, provider := roomtest.NewPeer(t)
		content, published := []byte("a multihash"), time.Now()
		add := protocol.AddProvider{
			Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}},
			Proof: announce.Proof{Network: testProtocol, Key: content, Published: published}.Sign(key),
		}
		if err := h.Announced(t.Context(), From{ID: provider, At: scope.Private}, add, c.now()); err != nil {
			t.Fatal(err)
		}
		c.set(0)
		time.Sleep(2 * time.Minute)
		p, err := h.cfg.Store.Provider(t.Context(), content, string(provider), c.now())
		if age := p.Expires.Sub(published); err != nil || age.Round(time.Minute) != 48*time.Hour || p.Received.Sub(published).Abs() > time.Minute {
			t.Errorf("%v: it lives for %v, and was received %v after it was signed", err, age, p.Received.Sub(published))
		}
	})
}

// Where the system tells for how long it has slept, a clock that is set at any time changes the
// lifetime of nothing: not after hours in which it was behind or ahead, and not back and forth.
// Sleep counts.
func TestClockIsSetAtAnyTime(t *testing.T) {
	for _, sets := range [][]time.Duration{
		{-10 * year, 0}, {-3 * time.Hour, 0}, {10 * year, 0}, {0, -3 * time.Hour}, {0, 72 * time.Hour, 0}, {0, -10 * year, 10 * year},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHolder(t, Config{RecordAge: 48 * time.Hour})
			c := new(clock)
			c.set(sets[0])
			var slept atomic.Int64
			sweepingOn(t, h, c, func() (time.Duration, bool) { return time.Duration(slept.Load()), true })
			time.Sleep(5 * time.Hour)
			arrive(t, h, c.now())
			for _, set := range sets[1:] {
				time.Sleep(5 * time.Hour)
				c.set(set)
				time.Sleep(2 * time.Minute)
				if got := h.served(t, c.now()); got != 4 {
					t.Errorf("%v: %d of 4 served when it is set by %v", sets, got, set)
				}
			}
			began := time.Duration(len(sets)-1) * 5 * time.Hour
			time.Sleep(47*time.Hour - began)
			if got := h.served(t, c.now()); got != 4 {
				t.Errorf("%v: %d of 4 served in their lifetime", sets, got)
			}
			slept.Store(int64(time.Hour))
			c.set(sets[len(sets)-1] + time.Hour)
			time.Sleep(2 * time.Minute)
			if got := h.served(t, c.now()); got != 0 {
				t.Errorf("%v: %d served after their lifetime", sets, got)
			}
			time.Sleep(2 * time.Hour)
			if values, providers := h.Len(); values+providers > 0 {
				t.Errorf("%v: %d values and %d announcements are held after their lifetime", sets, values, providers)
			}
		})
	}
}

// A machine that sleeps for longer than entries live serves none of them when it wakes.
func TestSleptBeyondLifetime(t *testing.T) {
	inStores(t, func(t *testing.T, s store.Store) {
		h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
		c := new(clock)
		sweeping(t, h, c)
		time.Sleep(2 * time.Hour)
		arrive(t, h, c.now())
		c.set(72 * time.Hour)
		time.Sleep(2 * time.Minute)
		if got := h.served(t, c.now()); got != 0 {
			t.Errorf("%d served", got)
		}
	})
}

// A clock that goes back while entries arrive keeps none of them for longer.
func TestClockGoesBack(t *testing.T) {
	inStores(t, func(t *testing.T, s store.Store) {
		h := newHolder(t, Config{RecordAge: 48 * time.Hour, Store: s})
		c := new(clock)
		c.set(10 * time.Hour)
		sweeping(t, h, c)
		time.Sleep(2 * time.Hour)
		arrive(t, h, c.now())
		c.set(0)
		time.Sleep(clockSettles + 47*time.Hour)
		if got := h.served(t, c.now()); got != 4 {
			t.Errorf("%d of 4 served", got)
		}
		time.Sleep(time.Hour + 4*expireAfter) // the set is seen a minute later at most, and entries may take two sweeps
		if values, providers := h.Len(); values+providers > 0 {
			t.Errorf("%d values and %d announcements are held after their lifetime", values, providers)
		}
	})
}

// An announcement of a peer with a wrong clock, and one that comes to a holder with a wrong
// clock, is held and served for as long as others by the clock of the holder. It is passed
// on only if the clocks agree.
func TestAnnouncedByAnotherClock(t *testing.T) {
	const age = 48 * time.Hour
	for _, tt := range []struct {
		provider, holder time.Duration // by how much the clocks are ahead
		passed           bool
		lives            time.Duration
	}{
		{0, 0, true, age},
		{5 * time.Minute, 0, true, age},
		{-5 * time.Hour, 0, true, age - 5*time.Hour},
		{0, 5 * time.Hour, true, age - 5*time.Hour},
		{5 * time.Hour, 0, false, age},
		{0, -5 * time.Hour, false, age},
		{10 * year, 0, false, age},
		{-10 * year, 0, false, age},
		{0, 10 * year, false, age},
		{0, -10 * year, false, age},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHolder(t, Config{RecordAge: age})
			key, id := roomtest.NewPeer(t)
			content, now := []byte("a multihash"), time.Now().Add(tt.holder)
			add := protocol.AddProvider{
				Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(1)}},
				Proof: announce.Proof{Network: testProtocol, Key: content, Published: time.Now().Add(tt.provider)}.Sign(key),
			}
			if err := h.Announced(t.Context(), From{ID: id, At: scope.Private}, add, now); err != nil {
				t.Fatal(err)
			}
			p, err := h.cfg.Store.Provider(t.Context(), content, string(id), now)
			kept := announce.ParseKept(p.Addrs)
			if err != nil || (len(kept.Proof) > 0) != tt.passed || p.Expires.Sub(now).Round(time.Minute) != tt.lives {
				t.Errorf("clocks %v and %v ahead: %v, a proof of %d bytes, for %v", tt.provider, tt.holder, err, len(kept.Proof), p.Expires.Sub(now))
			}
			if got, ok := kept.Peer(now); !ok || len(got.Addrs) != 1 {
				t.Errorf("clocks %v and %v ahead: the addresses %v", tt.provider, tt.holder, got.Addrs)
			}
		})
	}
}
