package routing

import "time"

// MinCacheLifetime is the shortest lifetime that [CacheLifetime] makes: a peer that
// stores a record can read it back, and a copy is worth its message.
const MinCacheLifetime = time.Minute

// endlessLifetime is the lifetime of a record that never expires, where it is only
// cached: holders renew their copies, a cached copy is not renewed, and it must not
// stay for ever. It is the time that libp2p records live by default.
const endlessLifetime = 48 * time.Hour

// CacheLifetime returns how long a node keeps a record of that lifetime when it
// knows closer nodes that are closer to the key than itself. If closer is less than k,
// which is at least 1, the node is a holder, and the lifetime stays as it is. Else the
// record is only cached: its lifetime is halved once for each closer node beyond k-1.
// It is never more than lifetime, and less than [MinCacheLifetime] only if lifetime is.
//
// A negative lifetime means that the record never expires. For a holder it stays
// negative; a cached copy lives as one with a lifetime of 48h. Zero stays zero: the
// record has expired.
//
// Source: Kademlia paper, section 2.3.
func CacheLifetime(lifetime time.Duration, closer, k int) time.Duration {
	if closer < k {
		return lifetime
	}
	if lifetime < 0 {
		lifetime = endlessLifetime
	}
	// A shift by more bits than there are leaves zero: no number is too large.
	return max(lifetime>>(closer-k+1), min(lifetime, MinCacheLifetime))
}

// CountCloser returns how many contacts are closer to target than we are.
//
// A contact of CPL i differs from us first in bit i. So it is closer to target
// if target differs from us there as well, whatever the other bits are.
func (t *Table) CountCloser(target Key) int {
	n := 0
	last := len(t.buckets) - 1
	for i, b := range t.buckets[:last] {
		if t.self.bit(&target, i) == 1 {
			n += len(b.entries)
		}
	}
	for _, e := range t.buckets[last].entries {
		n += int(t.self.bit(&target, e.cpl))
	}
	return n
}
