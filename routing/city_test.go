package routing

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A city is a network too large for its tables to be in memory: whom a node knows
// is drawn from its number whenever somebody asks. Messages take their time: 25 to
// 75 ms in each direction of a link, and up to 10 ms more; a dial is a round trip.
type city struct {
	keys []Key // sorted: a node is its place
	seed uint64

	// What is wrong: shares of the nodes, from 0 to 1 together. The dead are
	// known as if alive, are connected to nobody, and who dials them waits 5s.
	// The silent are connected, and never answer.
	dead, silent float64

	cold  bool // nobody is connected
	plain bool // lookups are told nothing of round trips, nor of sizes
	views map[int][]int
}

func newCity(n int, seed uint64) *city {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &city{seed: seed, keys: make([]Key, n), views: make(map[int][]int)}
	for i := range c.keys {
		for j := 0; j < len(Key{}); j += 8 {
			binary.BigEndian.PutUint64(c.keys[i][j:], rng.Uint64())
		}
	}
	slices.SortFunc(c.keys, Key{}.Compare)
	return c
}

// draw returns a number from 0 to 1 that follows from some others.
func (c *city) draw(numbers ...int) float64 {
	x := c.seed
	for _, n := range numbers {
		x = (x ^ uint64(n)) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 32
	}
	return float64(x>>11) / (1 << 53)
}

func (c *city) isDead(i int) bool { return c.draw(1, i) < c.dead }
func (c *city) isSilent(i int) bool {
	d := c.draw(1, i)
	return d >= c.dead && d < c.dead+c.silent
}

func (c *city) connected(i int) bool { return !c.cold && !c.isDead(i) }

// trip is how long a message takes to go to a node and back, without jitter.
func (c *city) trip(from, to int) time.Duration {
	return 50*time.Millisecond + time.Duration((c.draw(2, from, to)+c.draw(2, to, from))*float64(50*time.Millisecond))
}

// contact returns node i as node from knows it.
func (c *city) contact(from, i int, known bool) Contact {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(i))
	out := Contact{ID: peer.ID(id[:]), Key: c.keys[i]}
	if c.plain {
		return out
	}
	out.Connected = c.connected(i)
	if known && out.Connected {
		out.RoundTrip = c.trip(from, i) + 10*time.Millisecond
	}
	return out
}

func (c *city) number(id peer.ID) int { return int(binary.BigEndian.Uint64([]byte(id))) }

// view returns whom node i knows: of each CPL 20 who are chosen by lot, or all.
func (c *city) view(i int) []int {
	if v, ok := c.views[i]; ok {
		return v
	}
	rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
	var v []int
	low, high := 0, len(c.keys)
	for bit := 0; high-low > 1; bit++ {
		middle := low + sort.Search(high-low, func(j int) bool { return c.keys[low+j].bit(&Key{}, bit) == 1 })
		from, to := low, middle
		if i < middle {
			from, to, high = middle, high, middle
		} else {
			low = middle
		}
		if to-from <= 20 {
			for j := from; j < to; j++ {
				v = append(v, j)
			}
			continue
		}
		chosen := make(map[int]bool)
		for len(chosen) < 20 {
			if j := from + rng.IntN(to-from); !chosen[j] {
				chosen[j] = true
				v = append(v, j)
			}
		}
	}
	c.views[i] = v
	return v
}

// closest returns the n nodes of some that are closest to target.
func (c *city) closest(nodes []int, target Key, n int) []int {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b int) int { return target.Compare(c.keys[a], c.keys[b]) })
	return sorted[:min(n, len(sorted))]
}

// truth returns the 20 closest to target that answer, other than node from.
func (c *city) truth(target Key, from int) []int {
	var out []int
	for bits := 24; ; bits-- {
		prefix, end := target, target
		for i := bits; i < KeyBits; i++ {
			setBit(&prefix, &Key{}, i, 0)
			setBit(&end, &Key{}, i, 1)
		}
		low := sort.Search(len(c.keys), func(i int) bool { return Key{}.Compare(c.keys[i], prefix) >= 0 })
		high := sort.Search(len(c.keys), func(i int) bool { return Key{}.Compare(c.keys[i], end) > 0 })
		if high-low < 60 && bits > 0 {
			continue
		}
		for i := low; i < high; i++ {
			if i != from && !c.isDead(i) && !c.isSilent(i) {
				out = append(out, i)
			}
		}
		return c.closest(out, target, 20)
	}
}

// An errand is a lookup in a city and what it cost.
type errand struct {
	took     time.Duration
	accuracy float64
	most     int // requests in flight
	result   Result
}

type reply struct {
	at      time.Time
	from    int
	ok      bool
	dialled bool
	wants   Key // what it was asked for
}

type replies []reply

func (r replies) Len() int           { return len(r) }
func (r replies) Less(i, j int) bool { return r[i].at.Before(r[j].at) }
func (r replies) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *replies) Push(x any)        { *r = append(*r, x.(reply)) }
func (r *replies) Pop() any {
	last := len(*r) - 1
	out := (*r)[last]
	*r = (*r)[:last]
	return out
}

// find looks a target up, as a driver would, on a clock of its own.
func (c *city) find(from int, target Key, seeds []Contact, cfg LookupConfig, rng *rand.Rand) errand {
	var out errand
	now := epoch
	var queue replies
	open := make(map[int]bool)
	l := NewLookup(c.contact(0, from, false).ID, target, seeds, cfg)
	for {
		switch a := l.Next(now); a.Kind {
		case Ask:
			to := c.number(a.Contact.ID)
			r := reply{from: to, ok: true, wants: a.wants(target)}
			took := c.trip(from, to) + time.Duration(rng.IntN(20))*time.Millisecond
			if !c.connected(to) {
				took += c.trip(from, to) + time.Duration(rng.IntN(20))*time.Millisecond
			}
			switch {
			case c.isDead(to):
				took, r.ok = 5*time.Second, false
			case c.isSilent(to):
				took, r.ok = 10*time.Second, false
			}
			if !c.connected(to) && r.ok {
				heap.Push(&queue, reply{now.Add(took / 2), to, false, true, Key{}})
			}
			r.at = now.Add(took)
			heap.Push(&queue, r)
			open[to] = true
			out.most = max(out.most, len(open))
		case Wait:
			if len(queue) == 0 || a.Until.Before(queue[0].at) {
				now = a.Until
				continue
			}
			r, _ := heap.Pop(&queue).(reply)
			now = r.at
			if r.dialled {
				l.Connected(now, c.contact(from, r.from, false).ID)
				continue
			}
			delete(open, r.from)
			if !r.ok {
				l.Failed(c.contact(from, r.from, false).ID)
				continue
			}
			var closer []Contact
			for _, i := range c.closest(c.view(r.from), r.wants, 21) {
				if i != from && len(closer) < 20 {
					closer = append(closer, c.judged(from, i))
				}
			}
			l.Answered(c.contact(from, r.from, false).ID, closer)
		case Drop:
			delete(open, c.number(a.Contact.ID))
		case Done:
			out.took, out.result = now.Sub(epoch), l.Result()
			want := c.truth(target, from)
			found := 0
			for _, i := range want {
				if slices.ContainsFunc(out.result.Closest, func(x Contact) bool { return c.number(x.ID) == i }) {
					found++
				}
			}
			out.accuracy = float64(found) / float64(len(want))
			return out
		}
	}
}

// judged returns node i with what a host would say of it.
func (c *city) judged(from, i int) Contact {
	x := c.contact(from, i, false)
	if c.plain {
		return x
	}
	if x.Connected {
		x.Expect = expectOpen
	} else {
		x.Expect = expectDial
	}
	return x
}

// What RTTs that have seen this city expect of a stranger.
const (
	expectOpen = 180 * time.Millisecond
	expectDial = 180 * time.Millisecond
)

// seeds returns whom node from starts with.
func (c *city) seeds(from int, target Key) []Contact {
	var out []Contact
	for _, i := range c.closest(c.view(from), target, 80) {
		x := c.judged(from, i)
		if !c.plain && x.Connected {
			x = c.contact(from, i, true)
			x.Expect = x.RoundTrip + 40*time.Millisecond
		}
		out = append(out, x)
	}
	return out
}

// A toll is what lookups in a city cost.
type toll struct {
	median, p99        time.Duration
	requests, accuracy float64
	most               int
	failed             float64
}

// run makes lookups of random keys by random nodes that are well.
func (c *city) run(lookups int, cfg LookupConfig, seed uint64) toll {
	rng := rand.New(rand.NewPCG(c.seed, seed))
	var t toll
	var times []time.Duration
	for range lookups {
		from := rng.IntN(len(c.keys))
		for c.isDead(from) || c.isSilent(from) {
			from = rng.IntN(len(c.keys))
		}
		var target Key
		for j := 0; j < len(Key{}); j += 8 {
			binary.BigEndian.PutUint64(target[j:], rng.Uint64())
		}
		e := c.find(from, target, c.seeds(from, target), cfg, rng)
		times = append(times, e.took)
		t.requests += float64(e.result.Requests) / float64(lookups)
		t.accuracy += e.accuracy / float64(lookups)
		t.failed += float64(e.result.Failed) / float64(lookups)
		t.most = max(t.most, e.most)
	}
	slices.Sort(times)
	t.median, t.p99 = times[len(times)/2], times[len(times)*99/100]
	return t
}

// What lookups cost in a network whose messages take their time: near the aims,
// of which a hundred lookups show the median, the mean and a rough worst case.
func TestLookupInCity(t *testing.T) {
	long(t)
	const ms = time.Millisecond
	for _, tt := range []struct {
		name        string
		nodes       int
		city        city
		median, p99 time.Duration
		requests    float64
		accuracy    float64
	}{
		{"warm", 1000, city{}, 300 * ms, 600 * ms, 26, 0.999},
		{"cold", 1000, city{cold: true}, 600 * ms, 1200 * ms, 28, 0.999},
		{"20% dead", 1000, city{dead: 0.2}, 400 * ms, 1000 * ms, 41, 0.99},
		{"40% dead", 1000, city{dead: 0.4}, 600 * ms, 1500 * ms, 60, 0.965},
		{"20% silent", 1000, city{silent: 0.2}, 420 * ms, 1000 * ms, 40, 0.98},
		{"nothing known", 1000, city{plain: true}, 600 * ms, 900 * ms, 30, 0.999},
		{"warm", 100_000, city{}, 450 * ms, 900 * ms, 32, 0.999},
	} {
		c := newCity(tt.nodes, 1)
		c.dead, c.silent, c.cold, c.plain = tt.city.dead, tt.city.silent, tt.city.cold, tt.city.plain
		cfg := LookupConfig{SlowAfter: time.Second}
		if !c.plain {
			cfg.Size, cfg.Failing = Estimate{Nodes: float64(tt.nodes), Error: 0.07}, c.dead+c.silent
		}
		got := c.run(100, cfg, 1)
		t.Logf("%-13s %6d nodes: %4d ms, at worst %4d ms, %.1f requests, accuracy %.4f, at most %d in flight", tt.name, tt.nodes,
			got.median.Milliseconds(), got.p99.Milliseconds(), got.requests, got.accuracy, got.most)
		if got.median > tt.median || got.p99 > tt.p99 || got.requests > tt.requests || got.accuracy < tt.accuracy || got.most > 20 {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt)
		}
	}
}

// Who looks the same key up again asks three, and waits for two of them.
func TestLookupInCityAgain(t *testing.T) {
	long(t)
	c := newCity(1000, 2)
	rng := seeded(t, 7)
	cfg := LookupConfig{Size: Estimate{Nodes: 1000, Error: 0.07}}
	var times []time.Duration
	for range 100 {
		from := rng.IntN(len(c.keys))
		target := KeyOf(Preimage(c.keys[from], rng.IntN(3), rng))
		seeds := c.seeds(from, target)
		first := c.find(from, target, seeds, cfg, rng)
		recent := slices.Clone(first.result.Closest)
		for i := range recent {
			recent[i] = c.contact(from, c.number(recent[i].ID), true)
			recent[i].Recent = true
		}
		again := c.find(from, target, append(recent, seeds...), cfg, rng)
		if !sameContacts(again.result.Closest, first.result.Closest) || again.result.Requests > checks {
			t.Errorf("found %v with %d requests, want %v", ids(again.result.Closest), again.result.Requests, ids(first.result.Closest))
		}
		if again.result.Confidence < 0.05 || again.result.Confidence > 0.5 { // of two answers alone, which do not know all
			t.Errorf("confidence is %.3f", again.result.Confidence)
		}
		times = append(times, again.took)
	}
	slices.Sort(times)
	t.Logf("median %v, at worst %v", times[len(times)/2], times[len(times)-1])
	if median := times[len(times)/2]; median > 120*time.Millisecond {
		t.Errorf("median is %v", median)
	}
}
