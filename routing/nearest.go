package routing

// Nearest returns the K contacts closest to the target that were named so far and have
// not failed, closest first, whether they have answered or not. They are the likely
// holders of records near the target. The result is the caller's own.
func (l *Lookup) Nearest() []Contact {
	var near []Contact
	taken := make(map[*candidate]bool)
	for _, p := range l.paths {
		rank := 0
		for _, c := range p.candidates {
			if rank == l.cfg.K {
				break
			}
			if c.state == failed {
				continue
			}
			rank++
			if !taken[c] {
				taken[c] = true
				near = append(near, c.Contact)
			}
		}
	}
	SortByDistance(l.target, near)
	return near[:min(len(near), l.cfg.K)]
}
