package routing

// clearlyNearer is how many times shorter the round trip of a newcomer has to be
// than that of the contact whose place it gets: measurements vary by less, and one
// place changes hands a few times at most.
const clearlyNearer = 2

// outpaced returns the contact of a full bucket that has to make way for e, which
// is clearly nearer in round trip: the slowest. It is nil if there is none.
//
// It is nil in the two buckets nearest to us, where all of the closest nodes matter.
// Only half of the places go by round trip, so that peers which are near us, or in many
// places, do not get the whole bucket. The limits of a Group hold: e was admitted.
func (t *Table) outpaced(b *bucket, e *entry) *entry {
	if e.RoundTrip <= 0 || e.cpl >= len(t.buckets)-2 {
		return nil
	}
	var slowest *entry
	near := 0
	for _, held := range b.entries {
		if held.near {
			near++
		}
		if held.RoundTrip > 0 && (slowest == nil || held.RoundTrip > slowest.RoundTrip) {
			slowest = held
		}
	}
	switch {
	case slowest == nil || slowest.RoundTrip < clearlyNearer*e.RoundTrip:
		return nil
	case near >= t.cfg.K/2 && !slowest.near:
		return nil
	}
	return slowest
}

// supersede gives e the place of slow, which waits from now on.
func (t *Table) supersede(b *bucket, slow, e *entry) {
	t.vacate(b, slow)
	e.near = true
	t.enter(b, e)
	t.yieldPending(b, slow.Group)
	b.queue(slow)
}
