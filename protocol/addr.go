package protocol

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"
)

// addrList collects the usable addresses of one peer.
type addrList struct {
	list  []multiaddr.Multiaddr
	tried int // addresses that were decoded, or would have been
}

// add decodes an address of the peer and appends it, without the ID at its end,
// if it is usable and new. It returns what it appended.
func (l *addrList) add(id peer.ID, b []byte) (multiaddr.Multiaddr, bool) {
	if !l.try(b) {
		return nil, false
	}
	a, err := multiaddr.NewMultiaddrBytes(b)
	if err != nil {
		return nil, false
	}
	return l.take(id, a)
}

// addDecoded is add for the address a with the bytes b.
func (l *addrList) addDecoded(id peer.ID, a multiaddr.Multiaddr, b []byte) (multiaddr.Multiaddr, bool) {
	if !sound(a) {
		return l.add(id, b)
	}
	if !l.try(b) {
		return nil, false
	}
	return l.take(id, a)
}

// try counts an address, and reports whether it is to be decoded.
func (l *addrList) try(b []byte) bool {
	if l.tried == MaxAddrs {
		return false
	}
	l.tried++
	return len(b) <= MaxAddr && decodable(b)
}

// take appends an address of the peer.
func (l *addrList) take(id peer.ID, a multiaddr.Multiaddr) (multiaddr.Multiaddr, bool) {
	a, ok := trim(a, id)
	if !ok {
		return nil, false
	}
	for _, other := range l.list { //nolint:modernize // a method value would be allocated
		if a.Equal(other) {
			return nil, false
		}
	}
	l.list = append(l.list, a)
	return a, true
}

// sound reports whether the bytes of a, if they are decodable, are decoded to a. An
// address can be put together from parts; each part that is not empty was checked
// when it was made.
func sound(a multiaddr.Multiaddr) bool {
	return !slices.ContainsFunc(a, func(c multiaddr.Component) bool { return c.Code() == 0 })
}

// trim removes "/p2p/" and the ID at the end of an address of that peer. It reports
// false if nothing is left, or if the ID is the one of another peer. The ID of a relay
// stands before the end; if it is that of the peer itself, a dial would wait for itself.
func trim(a multiaddr.Multiaddr, id peer.ID) (multiaddr.Multiaddr, bool) {
	for len(a) > 0 {
		last := &a[len(a)-1]
		if last.Code() != multiaddr.P_P2P {
			return a, !leadsThrough(a, id)
		}
		if string(last.RawValue()) != string(id) {
			return nil, false
		}
		a = a[:len(a)-1]
	}
	return nil, false
}

// leadsThrough reports whether an address has the ID of a peer in it.
func leadsThrough(a multiaddr.Multiaddr, id peer.ID) bool {
	for i := range a {
		if a[i].Code() == multiaddr.P_P2P && string(a[i].RawValue()) == string(id) {
			return true
		}
	}
	return false
}

// decodable reports whether b looks like an address of known protocols, of at
// most maxComponents components. It allocates nothing, where the decoder
// allocates per component, and per error.
func decodable(b []byte) bool {
	for range maxComponents {
		code, n := protowire.ConsumeVarint(b)
		if n < 0 || code > 1<<31-1 {
			return false
		}
		b = b[n:]
		p := multiaddr.ProtocolWithCode(int(code))
		size := uint64(p.Size / 8) //nolint:gosec // not used if negative
		switch {
		case p.Code == 0:
			return false
		case p.Size < 0:
			if size, n = protowire.ConsumeVarint(b); n < 0 {
				return false
			}
			b = b[n:]
		}
		if size > uint64(len(b)) {
			return false
		}
		if b = b[size:]; len(b) == 0 {
			return true
		}
	}
	return false
}
