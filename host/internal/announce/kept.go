package announce

import (
	"encoding/binary"
	"time"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// announcedAddrAge is how long the addresses of an announcement are given to
// requesters. After that, a requester looks the provider up: addresses change sooner
// than content. go-libp2p-kad-dht does the same.
const announcedAddrAge = 24 * time.Hour

// A Kept is what the store keeps of an announcement, beside its provider and its time
// of arrival: see [store.Provider.Addrs].
type Kept struct {
	Published time.Time // when the provider made it, to the second
	Wire      Wire      // as it is given to requesters
	Proof     []byte    // the provider's signature; nil if there is none
}

// Marshal returns k as it is kept: the second in which it was made, then the
// announcement with its length, then the proof.
func (k Kept) Marshal() []byte {
	b := binary.AppendVarint(nil, k.Published.Unix())
	b = append(binary.AppendUvarint(b, uint64(len(k.Wire))), k.Wire...)
	return append(b, k.Proof...)
}

// ParseKept reads what Marshal wrote. Of anything else, it returns a zero Kept, which
// has no addresses and no proof.
func ParseKept(b []byte) (k Kept) {
	published, n := binary.Varint(b)
	if n <= 0 {
		return k
	}
	wire, proof, ok := protocol.CutBytes(b[n:])
	if !ok {
		return k
	}
	return Kept{time.Unix(published, 0), wire, proof}
}

// For returns the Peer message for a requester at s; nil if its addresses are too old
// at now, or there is none that the requester could use.
func (k Kept) For(now time.Time, s scope.Scope) []byte {
	if now.Sub(k.Published) >= announcedAddrAge {
		return nil
	}
	return k.Wire.For(s)
}

// Peer returns the provider with its addresses; without them if they are too old,
// or there are none.
func (k Kept) Peer(now time.Time) (protocol.Peer, bool) {
	p, err := protocol.ParsePeer(k.For(now, scope.Loopback))
	return p, err == nil
}
