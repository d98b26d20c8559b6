package routing

// HandsOver reports whether we send a newcomer, which has just entered the
// table, what we hold of key: if it is among the K closest to key of all we know,
// contacts and ourselves, and no other contact is closer to key than we are. So of the
// holders that know the same nodes, one sends it. The result is the same whether the
// newcomer is in the table or not.
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

// OwnPrefix returns how many leading bits of our key a key must share for HandsOver of
// that newcomer to be true: only that range of a store is to be gone through. It is the
// lowest CPL at which there is no contact other than the newcomer. A contact at a lower
// CPL is closer than we are to all keys that differ from ours in that bit first.
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
