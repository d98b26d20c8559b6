package routing

// clearlyNearer is how many times shorter the round trip of a contact has to be than that of
// another one, to come before it: measurements vary by less.
const clearlyNearer = 2

// successor returns the pending contact that takes a free place of b: the newest, or one that
// is clearly nearer in round trip. It is nil if the limits admit none.
//
// Only half of the places go by round trip, so that peers which are near us, or in many
// places, do not get the whole bucket. No contact has to make way for one that is nearer: a
// stranger can be quick, and a contact that has answered for long is worth more.
func (t *Table) successor(b *bucket) *entry {
	near := 0
	for _, e := range b.entries {
		if e.near {
			near++
		}
	}
	var newest, next *entry
	for _, e := range b.pending {
		switch {
		case !t.admits(&e.Contact, e.cpl, len(t.buckets)-1):
		case newest == nil:
			newest, next = e, e
		case near < t.cfg.K/2 && e.RoundTrip > 0 && clearlyNearer*e.RoundTrip <= newest.RoundTrip && e.RoundTrip < next.RoundTrip:
			next = e
		}
	}
	if next != newest {
		next.near = true
	}
	return next
}
