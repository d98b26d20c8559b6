package routing

// HandsOver reports whether we send a newcomer, which has just entered the
// table, what we hold of key. It is due to have it if it is among the K closest
// to key of all we know, contacts and ourselves. We are the one to send it if no
// other contact is closer to key than we are: then those that know the same nodes
// do not send it as well. Whether the newcomer is in the table makes no difference.
//
// Source: Kademlia paper, section 2.5.
func (t *Table) HandsOver(key, newcomer Key) bool {
	if newcomer == t.self {
		return false
	}
	closer := 1 - int(t.self.bit(&key, t.self.CPL(newcomer))) // we, if we are
	for _, b := range t.buckets {
		for _, e := range b.entries {
			switch {
			case e.Key == newcomer:
			case t.self.bit(&key, e.cpl) == 1:
				return false // it is closer than we are
			case key.Compare(e.Key, newcomer) < 0:
				closer++
			}
		}
	}
	return closer < t.cfg.K
}

// OwnPrefix returns the number of leading bits of our key that each key shares
// for which HandsOver of that newcomer can be true: only that range of a store is
// to be gone through. It is the lowest CPL at which there is no contact other
// than the newcomer, for a contact at a lower one is closer than we are to all
// keys that differ from ours in that bit first.
func (t *Table) OwnPrefix(newcomer Key) (bits int) {
	var held [KeyBits]bool
	for _, b := range t.buckets {
		for _, e := range b.entries {
			held[e.cpl] = held[e.cpl] || e.Key != newcomer
		}
	}
	for bits < KeyBits && held[bits] {
		bits++
	}
	return bits
}
