package routing

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A tape are the bytes of a fuzz target, from which decisions are drawn.
type tape struct{ rest []byte }

// draw returns the next decision: 0 to n-1, and 0 at the end of the tape.
func (t *tape) draw(n int) int {
	if len(t.rest) == 0 {
		return 0
	}
	b := t.rest[0]
	t.rest = t.rest[1:]
	return int(b) % n
}

// flag returns whether one of n decisions was drawn.
func (t *tape) flag(n int) bool { return t.draw(n) == n-1 }

// contact draws a contact of a table: near or far, in a network, with addresses.
func (t *tape) contact(self Key) Contact {
	cpl := t.draw(12)
	if cpl > 8 {
		cpl = KeyBits - 1 - cpl // next to us
	}
	c := at(self, cpl, fmt.Sprintf("%d/%d", cpl, t.draw(24)))
	c.Group = []string{"", "", "a", "b", "c"}[t.draw(5)]
	if wire := t.draw(4); wire > 1 {
		c.Wire = []byte{byte(wire)}
	}
	c.RoundTrip = time.Duration(t.draw(4)) * 30 * time.Millisecond
	return c
}

// FuzzTable has peers appear, answer, fail, move and vanish in any order, with probes whose
// outcomes come late, twice, or unasked. The invariants of the table hold after each step, its
// changes tell which contacts it has, and none is in it that has not answered.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x01\x00\x00\x00\x02\x03\x01\x02\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		in := tape{script}
		self := KeyOf([]byte("self"))
		tab := NewTable(self, TableConfig{K: 1 + in.draw(5), MaxPerGroup: in.draw(3) - 1, MaxPerGroupTotal: 2*in.draw(3) - 1})
		g := &guest{t: t, table: tab, now: epoch, answered: make(map[Key]bool), held: make(map[Key]bool)}
		g.probed = []Contact{at(self, 0, "never probed")}
		for len(in.rest) > 0 {
			g.step(&in)
			g.check()
		}
	})
}

// A guest drives a table, and knows what it may contain.
type guest struct {
	t        *testing.T
	table    *Table
	now      time.Time
	probed   []Contact
	answered map[Key]bool // since they were last removed
	held     map[Key]bool // by the changes that the table told
}

func (g *guest) step(in *tape) {
	tab := g.table
	switch what := in.draw(16); what {
	case 0, 1, 2, 3:
		c := in.contact(tab.self)
		g.answered[c.Key] = tab.Seen(g.now, c) != Rejected
	case 4, 5:
		tab.Failed(g.now, in.contact(tab.self))
	case 6:
		c := in.contact(tab.self)
		tab.Remove(c)
		g.answered[c.Key] = false
	case 7:
		tab.Update(g.now, in.contact(tab.self))
	case 8, 9:
		probe, next := tab.Due(g.now, in.draw(5))
		if !next.IsZero() && !next.After(g.now) {
			g.t.Errorf("call again at %v, which is not after %v", next, g.now)
		}
		g.probed = append(g.probed, probe...)
	case 10:
		tab.Checked(g.now, g.probed[in.draw(256)%len(g.probed)], in.flag(2))
	case 11:
		tab.Postponed(g.now, g.probed[in.draw(256)%len(g.probed)])
	case 12:
		tab.Doubt(g.now, in.contact(tab.self))
	case 13:
		tab.Hindered(g.now, in.contact(tab.self))
		return // it tells no changes
	case 14:
		tab.Refreshed(g.now, in.draw(256))
	default:
		step := in.draw(256)
		g.now = g.now.Add(time.Duration(step*step) * 100 * time.Millisecond)
		return
	}
	for _, c := range tab.Changes() {
		switch c.Kind {
		case Entered:
			g.held[c.Contact.Key] = true
		case Left:
			delete(g.held, c.Contact.Key)
		case Suspected, Cleared:
		}
	}
}

func (g *guest) check() {
	tab := g.table
	tab.check(g.t)
	count := 0
	for c := range tab.All() {
		count++
		if !g.answered[c.Key] {
			g.t.Errorf("%v is held, and has not answered", c.ID)
		}
		if !g.held[c.Key] {
			g.t.Errorf("%v is held, and no change has told it", c.ID)
		}
	}
	if count != len(g.held) {
		g.t.Errorf("%d contacts are held, and %d by the changes", count, len(g.held))
	}
	if got := tab.Closest(tab.self, 3); !slices.IsSortedFunc(got, func(a, b Contact) int { return tab.self.Compare(a.Key, b.Key) }) {
		g.t.Errorf("the closest are %v", ids(got))
	}
}

// named draws a contact as an answer may name it: ourselves, an honest or invented one, nearer
// than any other, and with anything known about it.
func (t *tape) named() Contact {
	d := uint64(t.draw(256))
	switch t.draw(8) {
	case 0:
		return Contact{ID: "self", Key: target.flip(3)}
	case 1:
		d = 1 + d%4 // next to the target
	case 2:
		d <<= 40
	default:
		d = 256 + d<<4
	}
	c := away(target, d, fmt.Sprint(d))
	c.Doubtful, c.Connected = t.flag(4), t.flag(3)
	c.Expect = time.Duration(t.draw(5)-1) * 300 * time.Millisecond
	c.RoundTrip = time.Duration(t.draw(3)) * 200 * time.Millisecond
	return c
}

// names draws an answer.
func (t *tape) names() (list []Contact) {
	for range t.draw(60) {
		list = append(list, t.named())
	}
	return list
}

// lookupConfig draws the configuration of a lookup.
func (t *tape) lookupConfig() LookupConfig {
	cfg := LookupConfig{K: 1 + t.draw(20), Alpha: 1 + t.draw(6), Paths: 1 + t.draw(4), SlowAfter: time.Second}
	if cfg.Beta = t.draw(4); cfg.Beta > cfg.K {
		cfg.Beta = 0
	}
	if t.flag(2) {
		cfg.Size = Estimate{Nodes: math.Ldexp(1, t.draw(KeyBits)), Error: float64(t.draw(10)) / 20}
		cfg.Failing = float64(t.draw(12))/10 - 0.1
	}
	return cfg
}

// FuzzLookup has a lookup meet peers that name anything, answer twice, unasked, late or never,
// and a driver that stops it in part. It ends, asks no peer twice and never itself, keeps to
// its slots and its number of requests, and finds only peers that have answered.
func FuzzLookup(f *testing.F) {
	f.Add([]byte("\x02\x02\x00\x00\x00\x05\x40\x03\x41\x03\x42\x03"))
	f.Fuzz(func(t *testing.T, script []byte) {
		in := &tape{script}
		cfg := in.lookupConfig()
		seeds := in.names()
		for i := range seeds {
			seeds[i].Recent = in.flag(3)
		}
		d := &siegeDriver{t: t, lookup: NewLookup("self", target, seeds, cfg), cfg: cfg, now: epoch}
		d.asked, d.answered = make(map[peer.ID]bool), make(map[peer.ID]bool)
		for _, c := range seeds { // one may be named twice
			d.answered[c.ID] = d.answered[c.ID] || c.Recent // they count as if they had
		}
		for steps := 0; !d.step(in); steps++ {
			if steps > 20_000+10*len(script) {
				t.Fatal("the lookup does not end")
			}
		}
		d.judge()
	})
}

// A siegeDriver drives a lookup among hostile peers.
type siegeDriver struct {
	t           *testing.T
	lookup      *Lookup
	cfg         LookupConfig
	now         time.Time
	asked       map[peer.ID]bool
	answered    map[peer.ID]bool
	outstanding []peer.ID
	persisted   bool
}

// step does what the lookup wants, and reports whether it is over.
func (d *siegeDriver) step(in *tape) (over bool) {
	switch a := d.lookup.Next(d.now); a.Kind {
	case Ask:
		switch id := a.Contact.ID; {
		case id == "self":
			d.t.Fatal("it asks itself")
		case d.asked[id] && a.About.ID == "":
			d.t.Fatalf("%v is asked twice", id)
		case slices.Contains(d.outstanding, id):
			d.t.Fatalf("%v is asked while it is being asked", id)
		}
		d.asked[a.Contact.ID] = true
		d.outstanding = append(d.outstanding, a.Contact.ID)
		limit := 2 * max(d.cfg.Alpha, d.cfg.Paths)
		if d.persisted { // while it persists, the closest that are late are not dropped
			limit += d.lookup.cfg.K // more than d.cfg.K around a crowd
		}
		if len(d.outstanding) > limit {
			d.t.Fatalf("%d requests in flight, limit is %d", len(d.outstanding), limit)
		}
	case Drop:
		d.outstanding = slices.DeleteFunc(d.outstanding, func(id peer.ID) bool { return id == a.Contact.ID })
	case Wait:
		if !a.Until.After(d.now) {
			d.t.Fatalf("wait until %v, which has passed", a.Until)
		}
		d.event(in, a.Until)
	case Done:
		return true
	}
	return false
}

// event is what happens while the lookup waits.
func (d *siegeDriver) event(in *tape, until time.Time) {
	l := d.lookup
	if len(in.rest) == 0 { // all is silent
		if d.now = until; len(d.outstanding) > 0 {
			l.Failed(d.outstanding[0])
			d.outstanding = d.outstanding[1:]
		}
		return
	}
	if len(d.outstanding) == 0 {
		d.now = until
		return
	}
	i := in.draw(256) % len(d.outstanding)
	id := d.outstanding[i]
	switch in.draw(16) {
	case 0, 1:
		d.now = d.now.Add(time.Duration(1+in.draw(20)) * 100 * time.Millisecond)
	case 2:
		l.Connected(d.now, id)
	case 3:
		l.Queued(id)
	case 4:
		l.Dialled(d.now, id)
	case 5, 6, 7:
		d.outstanding = slices.Delete(d.outstanding, i, i+1)
		l.Failed(id)
	case 8:
		if c := in.named(); l.known[c.ID] == nil && l.Answered(c.ID, in.names()) {
			d.t.Fatalf("an answer of %v is awaited, which was not asked", c.ID)
		}
	case 9:
		if in.flag(8) {
			l.StopPath(id)
		}
	case 10:
		lacks := in.flag(2)
		d.persisted = d.persisted || lacks
		l.Persist(func() bool { return lacks })
	default:
		d.outstanding = slices.Delete(d.outstanding, i, i+1)
		d.answered[id] = l.Answered(id, in.names()) || d.answered[id]
		if l.Answered(id, in.names()) {
			d.t.Fatalf("a second answer of %v counts", id)
		}
	}
}

// judge checks what a lookup has found.
func (d *siegeDriver) judge() {
	r, k := d.lookup.Result(), d.cfg.K
	if d.lookup.Next(d.now.Add(time.Hour)).Kind != Done {
		d.t.Error("it goes on after its end")
	}
	if limit := maxAsked * max(k, minAskedFor); r.Requests > limit {
		d.t.Errorf("%d requests, want at most %d", r.Requests, limit)
	}
	if most := maxCrowd * k; len(r.Closest) > most || !r.Crowded && len(r.Closest) > k {
		d.t.Errorf("%d contacts are found, crowded %v", len(r.Closest), r.Crowded)
	}
	if c := r.Confidence; c < 0 || c > 1 {
		d.t.Errorf("confidence is %v", c)
	}
	if !slices.IsSortedFunc(r.Closest, func(a, b Contact) int { return target.Compare(a.Key, b.Key) }) {
		d.t.Errorf("the closest are %v", ids(r.Closest))
	}
	for _, c := range slices.Concat(r.Closest, d.lookup.Certain()) {
		if c.ID == "self" || !d.answered[c.ID] {
			d.t.Errorf("%v is found, and has not answered", c.ID)
		}
	}
}
