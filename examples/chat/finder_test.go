package main

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

func TestPauses(t *testing.T) {
	const ms, s, m = time.Millisecond, time.Second, time.Minute
	tests := []struct {
		name string
		f    func(int) time.Duration
		want []time.Duration
	}{
		{
			"search, alone",
			func(n int) time.Duration { return searchAfter(n, false) },
			append(slices.Repeat([]time.Duration{500 * ms}, 21), 1*s, 2*s, 4*s, 5*s, 5*s),
		},
		{
			"search, with company",
			func(n int) time.Duration { return searchAfter(n, true) },
			[]time.Duration{5 * s, 10 * s, 20 * s, 30 * s, 30 * s},
		},
		{"announcing failed", retryAfter, []time.Duration{250 * ms, 500 * ms, 1 * s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}},
		{"announced", announceAfter, []time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 5 * m, 5 * m}},
		{"dead peer", deadAfter, []time.Duration{1 * s, 2 * s, 4 * s, 8 * s}},
	}
	for _, tt := range tests {
		for n, want := range tt.want {
			if got := tt.f(n); got != want {
				t.Errorf("%s: pause %d is %v, want %v", tt.name, n, got, want)
			}
		}
	}
	if got := deadAfter(1000); got != 10*m {
		t.Errorf("a peer that is dead for long is left alone for %v", got)
	}
	if announceAfter(1000)*2 > announcementAge {
		t.Error("announcements expire before they are renewed")
	}
}

// A board is a rendezvous in memory.
type board struct {
	mu        sync.Mutex
	down      error // what both operations fail with
	people    []peer.ID
	announced []time.Time
	searched  []time.Time
}

func (b *board) Announce(context.Context, cid.Cid) (kad.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announced = append(b.announced, time.Now())
	return kad.Receipt{}, b.down
}

func (b *board) Providers(context.Context, cid.Cid, int) iter.Seq2[peer.AddrInfo, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.searched = append(b.searched, time.Now())
	people, err := slices.Clone(b.people), b.down
	return func(yield func(peer.AddrInfo, error) bool) {
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		for _, id := range people {
			if !yield(peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}}, nil) {
				return
			}
		}
	}
}

func (b *board) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// A crowd is who can be connected to.
type crowd struct {
	mu    sync.Mutex
	alive map[peer.ID]bool
	here  map[peer.ID]time.Time // connected, since when
	tries map[peer.ID]int
	left  chan struct{}
}

func (c *crowd) connect(ctx context.Context, info peer.AddrInfo) error {
	c.mu.Lock()
	c.tries[info.ID]++
	alive := c.alive[info.ID]
	if _, ok := c.here[info.ID]; alive && !ok {
		c.here[info.ID] = time.Now()
	}
	c.mu.Unlock()
	if !alive {
		<-ctx.Done() // silent, not refusing: the worst case
		return ctx.Err()
	}
	return nil
}

func (c *crowd) people() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.here)
}

// met returns when a peer was connected to.
func (c *crowd) met(id peer.ID) (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok = c.here[id]
	return at, ok
}

func (c *crowd) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// inFinder runs a finder in a bubble of fake time.
func inFinder(t *testing.T, f func(t *testing.T, b *board, c *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		c := &crowd{alive: make(map[peer.ID]bool), here: make(map[peer.ID]time.Time), tries: make(map[peer.ID]int), left: make(chan struct{}, 1)}
		finder, err := newFinder(b, "/test/room/lobby")
		if err != nil {
			t.Fatal(err)
		}
		finder.connect, finder.people, finder.left = c.connect, c.people, c.left
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); finder.run(ctx) }()
		f(t, b, c)
		cancel()
		<-done
	})
}

func TestFinderFindsLateComer(t *testing.T) {
	inFinder(t, func(t *testing.T, b *board, c *crowd) {
		c.set(func() { c.alive["bob"] = true })
		time.Sleep(5 * time.Second)
		came := time.Now()
		b.set(func() { b.people = []peer.ID{"bob"} })
		time.Sleep(time.Second)
		if at, ok := c.met("bob"); !ok || at.Sub(came) > 600*time.Millisecond {
			t.Errorf("bob came at %v and was met at %v", came, at)
		}
	})
}

// However long a finder was alone, and whoever died in the room.
func TestFinderFindsPeerAmongTheDead(t *testing.T) {
	inFinder(t, func(t *testing.T, b *board, c *crowd) {
		b.set(func() {
			for i := range 50 {
				b.people = append(b.people, peer.ID(rune('A'+i)))
			}
		})
		time.Sleep(time.Hour)
		c.set(func() { c.alive["bob"] = true })
		came := time.Now()
		b.set(func() { b.people = append(b.people, "bob") })
		time.Sleep(30 * time.Second)
		if at, ok := c.met("bob"); !ok || at.Sub(came) > 11*time.Second {
			t.Errorf("bob came at %v and was met at %v", came, at)
		}
		c.set(func() {
			if n := c.tries["A"]; n < 5 || n > 20 {
				t.Errorf("a dead peer was dialled %d times in an hour", n)
			}
		})
	})
}

func TestFinderSearchesSlowlyInCompany(t *testing.T) {
	inFinder(t, func(t *testing.T, b *board, c *crowd) {
		c.set(func() { c.alive["bob"] = true })
		b.set(func() { b.people = []peer.ID{"bob"} })
		time.Sleep(time.Minute)
		b.set(func() { b.searched = nil })
		time.Sleep(10 * time.Minute)
		b.set(func() {
			if n := len(b.searched); n < 15 || n > 30 {
				t.Errorf("%d searches in ten minutes with company", n)
			}
		})

		// Bob leaves: whoever comes now is found soon.
		b.set(func() { b.people, b.searched = nil, nil })
		c.set(func() { delete(c.here, "bob") })
		poke(c.left)
		time.Sleep(10 * time.Second)
		b.set(func() {
			if n := len(b.searched); n < 15 || n > 30 {
				t.Errorf("%d searches in ten seconds after a peer left", n)
			}
		})
	})
}

func TestFinderRetriesAnnouncing(t *testing.T) {
	inFinder(t, func(t *testing.T, b *board, _ *crowd) {
		synctest.Wait()
		b.set(func() { b.announced, b.down = nil, errors.New("no network") })
		time.Sleep(time.Minute) // the first renewal fails within
		b.set(func() {
			if n := len(b.announced); n < 6 || n > 14 {
				t.Errorf("%d announcements in a minute without a network", n)
			}
			b.announced, b.down = nil, nil
		})
		time.Sleep(13 * time.Second)
		b.set(func() {
			if len(b.announced) == 0 {
				t.Error("no announcement within 13s of the network's return")
			}
			b.announced = nil
		})
		time.Sleep(time.Hour)
		b.set(func() {
			if n := len(b.announced); n < 10 || n > 22 {
				t.Errorf("%d announcements in an hour", n)
			}
		})
	})
}
