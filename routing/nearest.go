package routing

import "slices"

// Nearest returns the K contacts closest to the target that were named so far and have
// not failed, closest first, whether they have answered or not. They are the likely
// holders of records near the target. The result is the caller's own.
func (l *Lookup) Nearest() []Contact {
	near := l.near(func(c *candidate) bool { return c.state != failed })
	out := make([]Contact, len(near))
	for i, c := range near {
		out[i] = c.Contact
	}
	return out
}

// near returns the K candidates closest to the target that count, closest first.
func (l *Lookup) near(counts func(*candidate) bool) []*candidate {
	var near []*candidate
	for _, p := range l.paths {
		rank := 0
		for _, c := range p.candidates {
			if rank == l.cfg.K {
				break
			}
			if !counts(c) {
				continue
			}
			rank++
			if i, found := search(near, l.target, c.Key); !found {
				near = slices.Insert(near, i, c)
			}
		}
	}
	return near[:min(len(near), l.cfg.K)]
}

// believed reports whether c counts as a contact that may exist: it has answered, or it is
// a seed, or was named by one that is still believed. So a contact that makes up others
// does not stand between a lookup and a sure answer.
func (c *candidate) believed() bool {
	switch c.state {
	case answered:
		return true
	case fresh:
		return c.trust() != refused
	}
	return c.namer == nil || c.namer.naming.trust() != refused
}

// Poll returns how many contacts are among the K closest that are known, the ones that
// failed included, and how many of them have answered, or are Recent and confirmed.
func (l *Lookup) Poll() (known, told int) {
	near := l.near((*candidate).believed)
	for _, c := range near {
		if c.state == answered || l.checked > 0 && l.presumed(c) {
			told++
		}
	}
	return len(near), told
}

// Persist has the lookup go on while one of the closest contacts that have not failed may
// still answer, however late, as long as lacks reports true: its caller has found too little yet,
// and what it looks for may be there. Such a request is not dropped for another one. Its
// caller bounds how long a request lasts.
//
// A contact that is dialled still is awaited only until more than half of the closest have
// answered: dead contacts hang in dials for seconds.
//
// lacks is asked when it matters, since more than answers changes it: contacts that were
// presumed to answer may be late. It must not change the lookup.
func (l *Lookup) Persist(lacks func() bool) { l.lacks = lacks }

// persists reports whether something lacks: see Persist.
func (l *Lookup) persists() bool { return l.lacks != nil && l.lacks() }

// awaitsNear reports whether the lookup persists for one of the closest contacts, which is
// late.
func (l *Lookup) awaitsNear() bool {
	if len(l.overdue) == 0 || l.stopped() || !l.persists() {
		return false
	}
	known, told := l.Poll()
	return slices.ContainsFunc(l.inReach(), func(c *candidate) bool {
		return c.state == slow && (c.Connected || 2*told <= known)
	})
}

// unanswered returns the contacts in reach that were asked, and have not answered.
func (l *Lookup) unanswered() (out []Contact) {
	for _, c := range l.inReach() {
		if c.state == waiting || c.state == slow {
			out = append(out, c.Contact)
		}
	}
	return out
}

// inReach returns the closest contacts that have not failed and are believed.
func (l *Lookup) inReach() []*candidate {
	return l.near(func(c *candidate) bool { return c.state != failed && c.believed() })
}
