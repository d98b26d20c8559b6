package announce

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// A Wire is the encoded Peer message of a peer, in a form of which each scope gets its
// share without decoding: the addresses are ordered by scope, the widest first, so
// that what a wider scope may see is a prefix, and within a scope by their worth. A header
// has the lengths: big-endian 16 bits each for public and private, 0 where nothing may be
// seen. It is what
// [routing.Contact.Wire] and [store.Provider.Addrs] hold.
type Wire []byte

const wireHeader = 4

// Encode encodes a peer with its [scope.MaxTold] best addresses; nil if it has none.
// proved has the addresses that connections have proved. What the peer has certified goes
// to each scope, and is left out unless all of it may be given as far as any address.
func Encode(p protocol.Peer, proved ...multiaddr.Multiaddr) Wire {
	if len(p.Addrs) == 0 {
		return nil
	}
	addrs := slices.Clone(p.Addrs)
	// The same addresses in any order are encoded the same: a peer has moved if not.
	slices.SortFunc(addrs, func(a, b multiaddr.Multiaddr) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	addrs = slices.CompactFunc(addrs, multiaddr.Multiaddr.Equal) // one that is given twice takes no place of another
	p.Addrs = scope.Best(addrs, proved, scope.MaxTold)
	return encode(p)
}

// encode encodes a peer with its addresses, which are in the order of their worth.
func encode(p protocol.Peer) Wire {
	if len(p.Addrs) == 0 {
		return nil
	}
	var reaching [scope.Public + 1]int // how many addresses reach as far as each scope
	addrs := make([]multiaddr.Multiaddr, 0, len(p.Addrs))
	scopes := make([]scope.Scope, len(p.Addrs))
	for i, a := range p.Addrs {
		scopes[i] = scope.Of(a)
	}
	for _, s := range [...]scope.Scope{scope.Public, scope.Private, scope.Loopback} {
		for i, a := range p.Addrs {
			if scopes[i] == s {
				addrs = append(addrs, a)
			}
		}
		reaching[s] = len(addrs)
	}
	certified := passable(p.Certified, slices.Max(scopes))
	var room [512]byte // what is returned is kept for long, and has no spare bytes
	w := bytes.Clone(protocol.AppendPeer(room[:wireHeader], protocol.Peer{ID: p.ID, Certified: certified, Addrs: addrs}))
	for i, s := range [...]scope.Scope{scope.Public, scope.Private} {
		size := len(w) - wireHeader
		switch n := reaching[s]; {
		case n == 0:
			size = 0
		case n < len(addrs):
			size = len(protocol.AppendPeer(room[:0], protocol.Peer{ID: p.ID, Certified: certified, Addrs: addrs[:n]}))
		}
		binary.BigEndian.PutUint16(w[2*i:], uint16(size)) //nolint:gosec // at most protocol.MaxPeer, 8 KiB
	}
	return w
}

// For returns the Peer message as a peer at s may see it; nil if it has nothing that
// such a peer could use, or w is no Wire, as when the store has lost a part of it.
func (w Wire) For(s scope.Scope) []byte {
	if len(w) < wireHeader {
		return nil
	}
	body := w[wireHeader:]
	size := len(body)
	switch s {
	case scope.Public:
		size = int(binary.BigEndian.Uint16(w))
	case scope.Private:
		size = int(binary.BigEndian.Uint16(w[2:]))
	}
	if size == 0 || size > len(body) {
		return nil
	}
	return body[:size]
}

// Peer decodes w, with all addresses.
func (w Wire) Peer() (protocol.Peer, error) { return protocol.ParsePeer(w.For(scope.Loopback)) }

// SameAddrs reports whether two encoded peers have the same addresses, in any order.
func SameAddrs(a, b Wire) bool {
	p, err1 := a.Peer()
	q, err2 := b.Peer()
	return err1 == nil && err2 == nil && scope.Same(p.Addrs, q.Addrs)
}

// Restrict returns p with what may be given to a peer at s, or believed if that peer
// names it.
func Restrict(p protocol.Peer, s scope.Scope) protocol.Peer {
	p.Addrs = scope.Reaching(p.Addrs, s)
	p.Certified = passable(p.Certified, s)
	return p
}

// RestrictAll returns an announcement as a holder at s keeps it: without the addresses
// that are of no use there, and with the first ones of those that are. An announcement of
// our own has them in the order of their worth.
func RestrictAll(add protocol.AddProvider, s scope.Scope) protocol.AddProvider {
	add.Providers = slices.Clone(add.Providers)
	for i, p := range add.Providers {
		p = Restrict(p, s)
		p.Addrs = fitting(p.Addrs, maxKeptAddrs)
		add.Providers[i] = p
	}
	return add
}

// maxKeptAddrs bounds the bytes of the addresses that a holder keeps of an announcement: an
// answer has many announcements, and a requester dials a few addresses. It is room for 32
// addresses of usual sizes, or 5 relayed ones of the longest.
const maxKeptAddrs = 1000

// fitting returns the first addresses, at most [scope.MaxTold], that have up to so many
// bytes together, and the first one in any case.
func fitting(addrs []multiaddr.Multiaddr, most int) []multiaddr.Multiaddr {
	size := 0
	for i, a := range addrs {
		if size += sizeOf(a); i > 0 && (size > most || i == scope.MaxTold) {
			return addrs[:i]
		}
	}
	return addrs
}

// sizeOf returns the bytes that an address takes in a message: tag and length besides its own.
func sizeOf(a multiaddr.Multiaddr) int { return 3 + len(a.Bytes()) }

// Brief encodes the provider of a key with as many of its addresses as a holder keeps, the
// best ones; proved has the addresses that connections have proved. A certificate is kept
// in a presence only: no other announcement needs it.
func Brief(key []byte, p protocol.Peer, now time.Time, proved ...multiaddr.Multiaddr) Wire {
	if !IsPresence(p.ID, key) {
		p.Certified = nil
	} else if _, err := VerifyCertificate(p.Certified, p.ID, now); err != nil {
		p.Certified = nil
	}
	p.Addrs = fitting(scope.Rank(p.Addrs, proved), maxKeptAddrs)
	return encode(p)
}

// A Last is what a peer has announced last, in the form of Brief: a peer announces many keys
// with the same addresses. The zero Last is empty. It is not safe for concurrent use.
type Last struct {
	addrs, proved []multiaddr.Multiaddr
	id            peer.ID
	at            scope.Scope
	wire          Wire
}

// Brief is [Brief] for a provider whose addresses were restricted to a scope. If they are in
// the same memory as those of the call before, the result is the same Wire. l may be nil.
func (l *Last) Brief(key []byte, p protocol.Peer, at scope.Scope, now time.Time, proved ...multiaddr.Multiaddr) Wire {
	if l == nil || len(p.Addrs) == 0 || IsPresence(p.ID, key) {
		return Brief(key, Restrict(p, at), now, proved...)
	}
	same := len(l.addrs) == len(p.Addrs) && &l.addrs[0] == &p.Addrs[0] && l.id == p.ID && l.at == at
	if !same || !slices.EqualFunc(l.proved, proved, multiaddr.Multiaddr.Equal) {
		*l = Last{p.Addrs, proved, p.ID, at, Brief(key, Restrict(p, at), now, proved...)}
	}
	return l.wire
}

// IsPresence reports whether an announcement of id under a key is its presence: a
// provider record under its own ID.
func IsPresence(id peer.ID, key []byte) bool { return string(id) == string(key) }

// MayProvide reports whether id can be a provider of a key. Under a peer ID that
// contains its public key, only the presence of that peer may stand. An ID that is a
// hash cannot be told from the hash of some content.
func MayProvide(id peer.ID, key []byte) bool {
	if IsPresence(id, key) || len(key) == 0 || key[0] != multihash.IDENTITY {
		return true
	}
	_, err := peer.ID(key).ExtractPublicKey()
	return err != nil
}

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
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(k.Wire)+len(k.Proof))
	b = binary.AppendVarint(b, k.Published.Unix())
	b = protocol.AppendBytes(b, k.Wire)
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
