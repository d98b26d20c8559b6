package routing

import "math"

const (
	// checks is how many recent contacts are asked whether something changed.
	checks = 3

	// confirmations is how many of them must answer.
	confirmations = 2

	// presumeFailing is the share of failing requests beyond which no contact is presumed
	// to answer: one of 20 contacts has failed most likely.
	presumeFailing = 0.05
)

// presumed reports whether c counts as if it had answered: it answered an earlier lookup, the
// contacts that were asked again report no change, and no contact has failed. When one has, the
// contacts that take its place are farther away, and the ones that were asked may not know them.
func (l *Lookup) presumed(c *candidate) bool {
	if !c.Recent || l.changed || l.cfg.Failing > presumeFailing {
		return false
	}
	switch c.state {
	case fresh:
		return l.checked >= checks
	case waiting:
		return l.confirmed >= confirmations
	}
	return false
}

// present returns how likely the contacts of the result that are presumed to answer do: each
// as the contacts that were asked, and with the one more that may fail next, by the rule of
// succession. Three answers of 20 contacts leave 0.29.
func (l *Lookup) present() float64 {
	presumed := 0
	for _, c := range l.closest() {
		if l.presumed(l.known[c.ID]) {
			presumed++
		}
	}
	asked := float64(failingWeight + len(l.answered) + l.failed + len(l.overdue))
	return math.Pow(l.answering()*asked/(asked+1), float64(presumed))
}

// closest returns up to K that answered or are presumed to, closest first.
func (l *Lookup) closest() []Contact {
	out := make([]Contact, 0, l.cfg.K)
	for _, c := range l.answered {
		out = append(out, c.Contact)
	}
	if l.checked > 0 && !l.changed {
		for _, c := range l.known {
			if l.presumed(c) {
				out = append(out, c.Contact)
			}
		}
		SortByDistance(l.target, out)
	}
	k := min(len(out), l.cfg.K)
	return out[:k:k]
}
