package routing

const (
	// checks is how many recent contacts are asked whether something changed.
	checks = 3

	// confirmations is how many of them must answer.
	confirmations = 2
)

// presumed reports whether c counts as if it had answered: it answered an earlier
// lookup, and the contacts that were asked again report no change.
func (l *Lookup) presumed(c *candidate) bool {
	if !c.Recent || l.changed {
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
