package routing

import "slices"

const (
	// fillSpread is how many of the contacts in one answer are asked first:
	// they are neighbours of one key, and a bucket is to be spread over its range.
	fillSpread = 4

	// fillSources is how many contacts are asked for names of a bucket at first,
	// each near another key.
	fillSources = 3

	// fillFactor is how many times K requests are made for one bucket at most.
	fillFactor = 2
)

// A Fill finds contacts for the buckets of a table that have room, once the node
// has looked up its own key. It asks the nodes that are named in the range of a bucket
// for more names in that range, until the bucket is full or no new node is named. So
// nearly each request makes a contact. A lookup of a key in each bucket would ask
// known contacts again.
//
// Its driver sends the requests that Next returns, records the answers in the table,
// and calls Ended. It makes two times K requests for each bucket at most.
//
// Source: Kademlia paper, section 2.3, for the refresh of all buckets that are
// farther than the closest neighbour.
type Fill struct {
	self Key
	gaps []*gap
}

// A gap is a bucket with room.
type gap struct {
	cpl     int
	named   []Contact    // not asked yet, in the order to ask them
	reserve []Contact    // to be asked after all of named
	known   map[Key]bool // contacts that were named, or asked for names
	running int          // requests to strangers under way
	asking  int          // requests to contacts under way
	sources int          // contacts that were asked for names
	left    int          // requests that may still be made
}

// A FillRequest asks To for the contacts closest to a random key of that CPL.
type FillRequest struct {
	To  Contact
	CPL int

	source bool // To is in the table: it is asked for the names alone
}

// Fill returns a Fill of the buckets outside the range of the K closest contacts: in
// that range, the lookup of our own key has found all nodes. With fewer than K contacts
// it is of the CPLs that [Table.RefreshCPLs] returns.
func (t *Table) Fill() *Fill {
	f := &Fill{self: t.self}
	cpls := t.RefreshCPLs()
	if closest := t.Closest(t.self, t.cfg.K); len(closest) == t.cfg.K {
		cpls = nil
		for cpl := range min(t.self.CPL(closest[t.cfg.K-1].Key), MaxRefreshCPL) + 1 {
			cpls = append(cpls, cpl)
		}
	}
	for _, cpl := range cpls {
		f.gaps = append(f.gaps, &gap{cpl: cpl, known: make(map[Key]bool), left: fillFactor * t.cfg.K})
	}
	return f
}

// CPLs returns the CPLs of the buckets that are filled, full ones among them.
func (f *Fill) CPLs() []int {
	var cpls []int
	for _, g := range f.gaps {
		cpls = append(cpls, g.cpl)
	}
	return cpls
}

// Next returns the next request to send, for the bucket that lacks most contacts. It
// is false if there is none until a request has ended; if none is under way, the Fill
// is over.
func (f *Fill) Next(t *Table) (req FillRequest, ok bool) {
	slices.SortStableFunc(f.gaps, func(a, b *gap) int { return t.lacks(b) - t.lacks(a) })
	for _, g := range f.gaps {
		if t.lacks(g) <= 0 || g.left == 0 {
			continue
		}
		if req, ok := g.next(t); ok {
			g.left--
			return req, true
		}
	}
	return FillRequest{}, false
}

// Ended records that a request has ended, and the contacts that its answer named; none
// if it failed.
func (f *Fill) Ended(req FillRequest, named []Contact) {
	for _, g := range f.gaps {
		if g.cpl != req.CPL {
			continue
		}
		if req.source {
			g.asking--
		} else {
			g.running--
		}
		fresh := 0
		for _, c := range named {
			if f.self.CPL(c.Key) != g.cpl || g.known[c.Key] {
				continue
			}
			g.known[c.Key] = true
			if fresh++; fresh <= fillSpread {
				g.named = append(g.named, c)
			} else {
				g.reserve = append(g.reserve, c)
			}
		}
	}
}

// lacks returns how many contacts a bucket lacks that are not under way.
func (t *Table) lacks(g *gap) int {
	return t.cfg.K - t.heldAt(g.cpl) - g.running
}

// next returns the next request for a bucket.
func (g *gap) next(t *Table) (FillRequest, bool) {
	if c, ok := take(t, &g.named); ok {
		g.running++
		return FillRequest{To: c, CPL: g.cpl}, true
	}
	if c, ok := g.source(t); ok {
		g.asking++
		return FillRequest{To: c, CPL: g.cpl, source: true}, true
	}
	if g.asking > 0 {
		return FillRequest{}, false // the names of the others come first
	}
	if c, ok := take(t, &g.reserve); ok {
		g.running++
		return FillRequest{To: c, CPL: g.cpl}, true
	}
	return FillRequest{}, false
}

// source returns a contact that is to be asked for names: the nearest to the range
// of the bucket that was not yet.
func (g *gap) source(t *Table) (Contact, bool) {
	if g.sources == fillSources {
		return Contact{}, false
	}
	for _, c := range t.Closest(t.self.flip(g.cpl), 2*t.cfg.K) {
		if !g.known[c.Key] {
			g.known[c.Key] = true
			g.sources++
			return c, true
		}
	}
	return Contact{}, false
}

// take removes and returns the first of contacts that the table wants.
func take(t *Table, contacts *[]Contact) (Contact, bool) {
	for len(*contacts) > 0 {
		c := (*contacts)[0]
		*contacts = (*contacts)[1:]
		if t.Wants(c) {
			return c, true
		}
	}
	return Contact{}, false
}
