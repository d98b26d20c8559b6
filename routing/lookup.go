package routing

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A LookupConfig configures a [Lookup]. The zero value of a field means its
// default, so LookupConfig{} is a working configuration.
type LookupConfig struct {
	// K is the number of contacts wanted. If zero, 20.
	//
	// Spec: libp2p kad-dht, "Replication parameter (k)".
	K int

	// Alpha is the number of requests in flight, of all paths together, except
	// that each path has at least one. If zero, 10. When answers bring no closer
	// contact, it is twice that. With the slow ones it is never more than twice that.
	//
	// Spec: libp2p kad-dht, "Alpha concurrency parameter (α)".
	Alpha int

	// Beta is the number of closest contacts that must have answered for the
	// lookup to end, at most K. If zero, K.
	Beta int

	// Paths is the number of disjoint paths, the d of S/Kademlia. If zero, 1.
	// With more, a contact that lies misleads only the path that asked it.
	Paths int

	// MaxDepth is how many hops the lookup goes, counting from 1 for a seed. If
	// zero, 20. If negative, unlimited. A network of n nodes needs log2(n) hops
	// at worst; more are a sign of peers that make up others.
	MaxDepth int

	// Size is how many nodes the network has. With it, fewer are asked far from
	// the target, and more near it when some do not answer. If it is zero, or its
	// error above a quarter, the K closest live contacts are asked, and no more.
	Size Estimate

	// Failing is the share of the requests of late that failed; less than 0 counts
	// as 0, more than 1 as 1. While Size is known, as many more are asked at once.
	Failing float64

	// SlowAfter is how long a request may be unanswered before it frees its
	// slot, if its contact does not Expect less. If zero, 5s. If negative, it
	// keeps it. The answer counts whenever it comes, as long as the lookup runs
	// and the request is not dropped. A contact that is Doubtful, or that
	// was named by contacts not to be trusted, has a tenth of that time, or twice
	// its RoundTrip if that is longer.
	SlowAfter time.Duration
}

// withDefaults returns c with every zero field set to its default.
func (c LookupConfig) withDefaults() LookupConfig {
	setDefault(&c.K, 20)
	setDefault(&c.Alpha, 10)
	setDefault(&c.Beta, c.K)
	setDefault(&c.Paths, 1)
	setDefault(&c.MaxDepth, 20)
	setDefault(&c.SlowAfter, 5*time.Second)
	c.Beta = min(c.Beta, c.K)
	c.Failing = min(max(c.Failing, 0), 1)
	return c
}

// briefPart is the part of SlowAfter that a doubtful contact has. To leave it out would
// be a false "not found" if it is back.
const briefPart = 10

// maxAsked is how many contacts a lookup asks, in multiples of K, so that peers
// which make up others cannot make it run on. One of a thousand nodes needs 1.4
// times K; with half of them dead, 2.5 times, and 4 times at worst.
const maxAsked = 8

// minAskedFor is the K that maxAsked counts with if K is less: the way to the target
// is as long.
const minAskedFor = 20

// maxWait bounds how long Next says to wait when nothing but an answer or a
// failure can bring the lookup further.
const maxWait = time.Minute

// lacksWait is how long Next says to wait while the lookup persists: what its caller lacks may
// change without an answer.
const lacksWait = time.Second

// A Lookup finds the K contacts closest to a target. It sends nothing: Next returns
// which contact to ask, and Answered and Failed record what came of that.
//
// A Lookup has one owner and is not safe for concurrent use. Times given to it
// must not go back.
//
// Source: Kademlia paper, section 2.3; for paths, S/Kademlia, section 4.4.
type Lookup struct {
	self     peer.ID
	target   Key
	cfg      LookupConfig // its K grows where the target is crowded
	k        int          // K as it was given
	crowded  bool         // see widen
	census   *census      // nil until the target seems crowded
	grown    Size         // of the network, if the census has shown that it has grown
	paths    []*path
	turn     int // the path that may ask next
	known    map[peer.ID]*candidate
	answered []*candidate // closest first
	inFlight []*candidate // by slowAt; ones that answered or failed are left behind
	overdue  []*candidate // the slow ones, the first to be so first
	late     bool         // most requests, or answers, are late
	relented bool         // ... or were
	requests int
	dialled  int // requests to contacts that were not connected
	failed   int
	tardy    int // answers of contacts that were slow
	hops     int
	end      End
	full     bool         // an answer held K contacts, or more
	lacks    func() bool  // see Persist; may be nil
	events   int          // requests that began, changed or ended, from 1 on
	hindered []*candidate // requests that failed here

	// Of the recent contacts: asked, answered, and whether there is news of them.
	checked   int
	confirmed int
	changed   bool
}

// NewLookup returns a lookup of target by the node self that starts from seeds.
// It panics if K, Alpha, Beta or Paths is negative.
func NewLookup(self peer.ID, target Key, seeds []Contact, cfg LookupConfig) *Lookup {
	if cfg.K < 0 || cfg.Alpha < 0 || cfg.Beta < 0 || cfg.Paths < 0 {
		panic("routing: negative K, Alpha, Beta or Paths")
	}
	l := &Lookup{
		self:   self,
		target: target,
		cfg:    cfg.withDefaults(),
		known:  make(map[peer.ID]*candidate),
		events: 1,
	}
	l.k = l.cfg.K
	for i := range l.cfg.Paths {
		p := newPath(i, l.cfg)
		l.paths = append(l.paths, p)
		l.hear(p, nil, seeds)
	}
	if len(l.known) == 0 {
		l.end = NoSeeds
	}
	return l
}

// Next returns what to do at now: ask a contact, dial it elsewhere, wait, or stop. Call it until it
// returns Wait or Done, and again after each answer and failure.
func (l *Lookup) Next(now time.Time) Action {
	if l.end != Running {
		return Action{Kind: Done}
	}
	l.freeSlow(now)
	over, overrun, full := true, false, false
	for range l.paths {
		p := l.paths[l.turn]
		l.turn = (l.turn + 1) % len(l.paths)
		c, done, wants := l.pick(p)
		full = full || wants
		if c != nil {
			if l.requests < l.bound() {
				return l.ask(now, p, c)
			}
			overrun = true
			done = p.waiting == 0
		}
		over = over && done
	}
	if !full {
		if c := l.elsewhere(); c != nil {
			return l.askElsewhere(now, c)
		}
	}
	if over {
		if until, ok := l.patient(now); ok {
			return Action{Kind: Wait, Until: until}
		}
		if l.awaitsNear() {
			return Action{Kind: Wait, Until: now.Add(lacksWait)}
		}
	}
	if over && !overrun && l.widen() {
		return l.Next(now)
	}
	// If only slow ones are left, and no other has answered, a late answer is better
	// than none.
	if over && (len(l.answered) > 0 || len(l.overdue) == 0 || l.stopped()) {
		l.end = l.ending()
		if overrun {
			l.end = Overrun
		}
		return Action{Kind: Done}
	}
	return Action{Kind: Wait, Until: l.wakeAt(now)}
}

// bound returns how many requests are made at most.
func (l *Lookup) bound() int { return maxAsked * max(l.k, minAskedFor) }

// Answered records that id answered and named closer contacts. Of these, it
// ignores ourselves, known ones, and all but the closest 2K. It reports whether
// that answer was awaited: id was asked, has neither answered nor failed yet, and the
// lookup is not over. Another answer has no effect.
func (l *Lookup) Answered(id peer.ID, closer []Contact) bool {
	c := l.awaited(id)
	if c == nil {
		return false
	}
	late := c.state == slow
	l.move(c, answered)
	if late {
		l.heardLate()
	}
	l.full = l.full || len(closer) >= l.k
	if len(closer) > 2*l.k {
		closer = slices.Clone(closer)
		SortByDistance(l.target, closer)
		closer = closer[:2*l.k]
	}
	p := l.paths[c.path]
	if c.about != nil {
		l.answeredAgain(p, c, closer)
		return true
	}
	i, _ := search(l.answered, l.target, c.Key)
	l.answered = slices.Insert(l.answered, i, c)
	l.hops = max(l.hops, c.depth)
	if c.Recent {
		l.confirmed++
	}
	news := l.hear(p, c, closer)
	p.note(news)
	l.changed = l.changed || news
	p.reaches = append(p.reaches, reachOf(c, l.target, closer))
	l.events++
	return true
}

// Queued records that the request to id, which is asked, waits for its turn to be
// dialled: it holds its slot, and is not late, until [Lookup.Dialled]. It reports
// whether its answer is awaited, as [Lookup.Answered] does.
func (l *Lookup) Queued(id peer.ID) bool {
	c := l.awaited(id)
	if c != nil {
		l.suspend(c)
	}
	return c != nil
}

// Dialled records that the dial of id, which is asked, begins at now: what it is
// expected to take counts from now. It reports whether its answer is awaited.
func (l *Lookup) Dialled(now time.Time, id peer.ID) bool {
	c := l.awaited(id)
	if c != nil && c.state == waiting {
		l.suspend(c)
		l.await(c, now)
	}
	return c != nil
}

// Connected records that the dial of id succeeded at now: what its answer is
// expected to take counts from now. It reports whether that is awaited.
func (l *Lookup) Connected(now time.Time, id peer.ID) bool {
	c := l.awaited(id)
	if c == nil {
		return false
	}
	c.Connected = true
	l.events++
	if c.state == waiting {
		c.patience = l.patience(c, false)
		l.suspend(c)
		l.await(c, now)
	}
	return true
}

// Failed records that id did not answer. It reports whether its answer was
// awaited, as [Lookup.Answered] does. If id was not connected, and other contacts name it at
// other addresses, it is asked there: up to 3 times more.
func (l *Lookup) Failed(id peer.ID) bool {
	c := l.awaited(id)
	if c == nil {
		return false
	}
	l.lose(c)
	l.paths[c.path].note(false)
	return true
}

// Stop ends the lookup: its caller has what it wants.
func (l *Lookup) Stop() {
	if l.end == Running {
		l.end = Stopped
	}
}

// StopPath ends the path that asked id, and the lookup once all its paths have
// ended. So a result that disjoint paths are to confirm needs an answer on each.
// If no path asked id, StopPath has no effect.
func (l *Lookup) StopPath(id peer.ID) {
	if c := l.known[id]; c != nil && c.state != fresh {
		l.paths[c.path].stopped = true
	}
}

// Result returns what the lookup has found so far.
func (l *Lookup) Result() Result {
	all := make([]Contact, 0, len(l.answered))
	for _, c := range l.answered {
		all = append(all, c.Contact)
	}
	known, told := l.Poll()
	return Result{
		Closest:    l.closest(),
		Known:      known,
		Told:       told,
		Answered:   all,
		Awaited:    l.unanswered(),
		Requests:   l.requests,
		Failed:     l.failed,
		Late:       len(l.overdue),
		Hops:       l.hops,
		End:        l.end,
		Confidence: l.overall(),
		Crowded:    l.crowded,
		grown:      l.grown,
	}
}

// ask gives c to path p, which alone learns from its answer. If too many requests are
// in flight, it drops a slow one first.
func (l *Lookup) ask(now time.Time, p *path, c *candidate) Action {
	if d := l.crowdedOut(); d != nil {
		l.lose(d)
		return Action{Kind: Drop, Contact: d.Contact, Path: d.path, Depth: d.depth}
	}
	c.patience = l.patience(c, c.chooseNamer() == doubted || c.Doubtful)
	c.state = waiting
	c.path = p.index
	p.waiting++
	l.requests++
	l.events++
	l.await(c, now)
	ask := Action{Kind: Ask, Contact: c.Contact, Path: p.index, Depth: c.depth}
	if c.namer != nil {
		ask.Contact.Namer = c.namer.ID
	}
	if c.about != nil {
		if c.polls {
			l.census.places = l.census.places[1:]
		}
		p.again = append(p.again, c)
		ask.About = c.about.Contact
		return ask
	}
	if !c.Connected {
		l.dialled++
	}
	if c.Recent {
		l.checked++
	}
	return ask
}

// stopped reports whether the caller has stopped all paths.
func (l *Lookup) stopped() bool {
	return !slices.ContainsFunc(l.paths, func(p *path) bool { return !p.stopped })
}

// ending returns why a lookup whose paths are all over has ended.
func (l *Lookup) ending() End {
	if l.stopped() {
		return Stopped
	}
	end := Exhausted
	for _, p := range l.paths {
		if p.stopped {
			continue
		}
		switch full, limited := l.survey(p); {
		case limited:
			return DepthLimit
		case full:
			end = Converged
		}
	}
	return end
}
