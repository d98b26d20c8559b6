package host

import (
	"encoding/binary"
	"time"

	"github.com/go-kad/kad/protocol"
)

// announcedAddrAge is for how long the addresses of an announcement are told. After
// that, whoever wants the provider looks it up: addresses change sooner than what
// somebody has. Others do the same.
const announcedAddrAge = 24 * time.Hour

// A keptAnnouncement is what the store keeps of an announcement, beside whose it is
// and when it came: see [store.Provider.Addrs].
type keptAnnouncement struct {
	published time.Time    // when the provider made it, to the second
	wire      announcement // how it is told
	proof     []byte       // what shows others that it did; nil if it does not say
}

// marshal returns k as it is kept: the second in which it was made, then the
// announcement with its length, then the proof.
func (k keptAnnouncement) marshal() []byte {
	b := binary.AppendVarint(nil, k.published.Unix())
	b = append(binary.AppendUvarint(b, uint64(len(k.wire))), k.wire...)
	return append(b, k.proof...)
}

// parseKept reads what marshal wrote. Of anything else, it returns what tells
// nothing.
func parseKept(b []byte) (k keptAnnouncement) {
	published, n := binary.Varint(b)
	if n <= 0 {
		return k
	}
	wire, proof, ok := cutBytes(b[n:])
	if !ok {
		return k
	}
	return keptAnnouncement{time.Unix(published, 0), wire, proof}
}

// at returns the Peer message for an asker at s, as far as its addresses are not
// too old at now; nil if there is nothing to tell.
func (k keptAnnouncement) at(now time.Time, s scope) []byte {
	if now.Sub(k.published) >= announcedAddrAge {
		return nil
	}
	return k.wire.at(s)
}

// peer returns the provider with its addresses; without them if they are too old,
// or there are none.
func (k keptAnnouncement) peer(now time.Time) (protocol.Peer, bool) {
	p, err := protocol.ParsePeer(k.at(now, scopeLoopback))
	return p, err == nil
}
