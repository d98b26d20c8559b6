package rendezvous

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testLimit is how many members a test connects to.
const testLimit = 32

func TestPauses(t *testing.T) {
	const ms, s, m = time.Millisecond, time.Second, time.Minute
	tests := []struct {
		name string
		f    func(int) time.Duration
		want []time.Duration
	}{
		{
			"search, alone",
			func(n int) time.Duration { return searchAfter(n, true) },
			append(slices.Repeat([]time.Duration{500 * ms}, 21), 1*s, 2*s, 4*s, 5*s, 5*s),
		},
		{
			"search, not alone",
			func(n int) time.Duration { return searchAfter(n, false) },
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
	if announceAfter(1000)*2 > time.Hour {
		t.Error("announcements expire before they are renewed")
	}
}

// A board has the announcements of a group, and the peers that can be connected to.
type board struct {
	mu        sync.Mutex
	down      error         // of both operations
	lasts     time.Duration // of an announcement
	listed    []peer.ID
	announced []time.Time
	searched  []time.Time
	alive     map[peer.ID]bool
	here      map[peer.ID]time.Time // connected since
	tries     map[peer.ID]int
	protected map[peer.ID]bool
}

// set changes the board, or reads it.
func (b *board) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *board) announce(context.Context) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announced = append(b.announced, time.Now())
	return b.lasts, b.down
}

func (b *board) search(context.Context) iter.Seq2[peer.AddrInfo, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.searched = append(b.searched, time.Now())
	listed, err := slices.Clone(b.listed), b.down
	return func(yield func(peer.AddrInfo, error) bool) {
		if err != nil {
			yield(peer.AddrInfo{}, err)
			return
		}
		for _, id := range listed {
			if !yield(peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}}, nil) {
				return
			}
		}
	}
}

func (b *board) connect(ctx context.Context, info peer.AddrInfo) error {
	b.mu.Lock()
	b.tries[info.ID]++
	alive := b.alive[info.ID]
	if _, ok := b.here[info.ID]; alive && !ok {
		b.here[info.ID] = time.Now()
	}
	b.mu.Unlock()
	if !alive {
		<-ctx.Done() // silent, not refusing: the worst case
		return ctx.Err()
	}
	return nil
}

func (b *board) connected(id peer.ID) (ok bool) {
	b.set(func() { _, ok = b.here[id] })
	return ok
}

// connectedAt returns when a peer was connected to.
func (b *board) connectedAt(id peer.ID) (at time.Time, ok bool) {
	b.set(func() { at, ok = b.here[id] })
	return at, ok
}

// disconnect ends the connection to a peer.
func (b *board) disconnect(r *Rendezvous, id peer.ID) {
	b.set(func() { delete(b.here, id) })
	r.Update(id, false)
}

// inRendezvous runs a rendezvous in a bubble of virtual time.
func inRendezvous(t *testing.T, f func(t *testing.T, b *board, r *Rendezvous)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &board{
			lasts: time.Hour, alive: make(map[peer.ID]bool), here: make(map[peer.ID]time.Time),
			tries: make(map[peer.ID]int), protected: make(map[peer.ID]bool),
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := New(Config{
			Announce: b.announce, Search: b.search, Connect: b.connect, Connected: b.connected, Limit: testLimit,
			Protect: func(id peer.ID, on bool) { b.set(func() { b.protected[id] = on }) },
			Run:     func(f func(context.Context)) bool { go f(ctx); return true },
		})
		r.Start(ctx)
		f(t, b, r)
		cancel()
		r.Wait()
		for id, on := range b.protected {
			if on {
				t.Errorf("%s is protected for good", id)
			}
		}
	})
}

// changes reads what has changed.
func changes(r *Rendezvous) (got []Change) {
	for c, ok := r.take(); ok; c, ok = r.take() {
		got = append(got, c)
	}
	return got
}

func TestFindsLateComer(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, r *Rendezvous) {
		b.set(func() { b.alive["bob"] = true })
		time.Sleep(5 * time.Second)
		came := time.Now()
		b.set(func() { b.listed = []peer.ID{"bob"} })
		time.Sleep(time.Second)
		if at, ok := b.connectedAt("bob"); !ok || at.Sub(came) > 600*time.Millisecond {
			t.Errorf("bob came at %v and was connected to at %v", came, at)
		}
		if got := changes(r); !slices.Equal(got, []Change{{}, {ID: "bob", Here: true}}) {
			t.Errorf("changes: %+v", got)
		}
		b.set(func() {
			if !b.protected["bob"] {
				t.Error("bob is not protected")
			}
		})
	})
}

// However long a node was alone, and however many members are dead.
func TestFindsPeerAmongTheDead(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, _ *Rendezvous) {
		b.set(func() {
			for i := range 50 {
				b.listed = append(b.listed, peer.ID(rune('A'+i)))
			}
		})
		time.Sleep(time.Hour)
		came := time.Now()
		b.set(func() { b.alive["bob"] = true; b.listed = append(b.listed, "bob") })
		time.Sleep(30 * time.Second)
		if at, ok := b.connectedAt("bob"); !ok || at.Sub(came) > 11*time.Second {
			t.Errorf("bob came at %v and was connected to at %v", came, at)
		}
		b.set(func() {
			if n := b.tries["A"]; n < 5 || n > 20 {
				t.Errorf("a dead peer was dialled %d times in an hour", n)
			}
		})
	})
}

func TestSearchesSlowlyWhenNotAlone(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, r *Rendezvous) {
		b.set(func() { b.alive["bob"] = true; b.listed = []peer.ID{"bob"} })
		time.Sleep(time.Minute)
		b.set(func() { b.searched = nil })
		time.Sleep(10 * time.Minute)
		b.set(func() {
			if n := len(b.searched); n < 15 || n > 30 {
				t.Errorf("%d searches in ten minutes with a member", n)
			}
			b.listed, b.searched = nil, nil
		})
		b.disconnect(r, "bob") // a peer that comes now is found soon
		time.Sleep(10 * time.Second)
		b.set(func() {
			if n := len(b.searched); n < 15 || n > 30 {
				t.Errorf("%d searches in ten seconds after a member left", n)
			}
		})
	})
}

func TestRetriesAnnouncing(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, r *Rendezvous) {
		synctest.Wait()
		down := errors.New("no network")
		b.set(func() { b.announced, b.down = nil, down })
		changes(r)
		time.Sleep(time.Minute) // the first renewal fails within
		b.set(func() {
			if n := len(b.announced); n < 6 || n > 14 {
				t.Errorf("%d announcements in a minute without a network", n)
			}
			b.announced, b.down = nil, nil
		})
		if got := changes(r); !slices.Equal(got, []Change{{Err: down}}) {
			t.Errorf("changes without a network: %+v, want one error", got)
		}
		time.Sleep(13 * time.Second)
		if got := changes(r); !slices.Equal(got, []Change{{}}) {
			t.Errorf("changes after the network's return: %+v, want one success", got)
		}
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

// An announcement is renewed before it expires, however short it lasts.
func TestRenewsShortAnnouncements(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, _ *Rendezvous) {
		b.set(func() { b.lasts = time.Minute })
		time.Sleep(time.Hour)
		b.set(func() {
			for i, at := range b.announced[1:] {
				if pause := at.Sub(b.announced[i]); pause > time.Minute {
					t.Fatalf("a pause of %v", pause)
				}
			}
		})
	})
}

// The changes of a peer alternate, and changes that are not read take no room.
func TestChanges(t *testing.T) {
	here, gone := Change{ID: "bob", Here: true}, Change{ID: "bob"}
	tests := []struct {
		name    string
		before  []bool // updates that are read
		updates []bool // updates before the next read
		want    []Change
	}{
		{"comes", nil, []bool{true}, []Change{here}},
		{"comes and goes", nil, []bool{true, false}, nil},
		{"comes, goes and comes", nil, []bool{true, false, true}, []Change{here}},
		{"goes", []bool{true}, []bool{false}, []Change{gone}},
		{"goes and comes", []bool{true}, []bool{false, true}, []Change{gone, here}},
		{"goes, comes and goes", []bool{true}, []bool{false, true, false}, []Change{gone}},
		{"twice the same", []bool{true}, []bool{true, true}, nil},
	}
	for _, tt := range tests {
		r := New(Config{Protect: func(peer.ID, bool) {}})
		r.Update("eve", true) // is of no group
		if !r.beginDial("bob") {
			t.Fatal("bob is not dialled")
		}
		for _, here := range tt.before {
			r.Update("bob", here)
			changes(r)
		}
		for _, here := range tt.updates {
			r.Update("bob", here)
		}
		if len(r.unread) > 1 {
			t.Errorf("%s: %d changes wait", tt.name, len(r.unread))
		}
		if got := changes(r); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// The peer that was dialled in vain most often makes room for a new one.
func TestForgetsTheDead(t *testing.T) {
	r := &Rendezvous{known: make(map[peer.ID]*member)}
	for i := range maxKnown {
		r.known[peer.ID(rune(0x4e00+i))] = &member{failed: i % 7, here: i%7 == 6}
	}
	for i := range 100 {
		r.forget()
		r.known[peer.ID(rune(0x6e00+i))] = &member{}
	}
	left := make(map[int]int)
	for _, p := range r.known {
		left[p.failed]++
	}
	if len(r.known) != maxKnown || left[5] != 143-100 || left[4] != 143 || left[6] != 142 {
		t.Errorf("peers that are left, by how often they failed: %v", left)
	}
}

// No more peers are remembered than maxKnown, and none that is connected is
// forgotten; no more are connected to than the limit.
func TestBounds(t *testing.T) {
	inRendezvous(t, func(t *testing.T, b *board, r *Rendezvous) {
		b.set(func() {
			for i := range 2 * maxKnown {
				id := peer.ID(string(rune(0x4e00 + i)))
				b.listed = append(b.listed, id)
				b.alive[id] = i < 10
			}
		})
		time.Sleep(time.Minute)
		b.set(func() { b.listed = b.listed[100:] })
		time.Sleep(2 * time.Hour)
		if _, known, here := r.State(); known > maxKnown || here != 10 {
			t.Errorf("%d peers are known, %d of them connected", known, here)
		}
		b.set(func() {
			for id := range b.tries {
				b.alive[id] = true
			}
			for _, id := range b.listed {
				b.alive[id] = true
			}
		})
		time.Sleep(time.Hour)
		if _, _, here := r.State(); here < testLimit || here > testLimit+maxSearch {
			t.Errorf("%d peers are connected to", here)
		}
	})
}
