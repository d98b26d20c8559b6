package protocol

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"
)

// An EncodedPeer is a [Peer] that was encoded before, by [AppendPeer]: answers
// are made of the same peers again and again.
type EncodedPeer struct {
	// Wire is the output of AppendPeer for a peer with the Connection NotConnected.
	Wire []byte

	Connection Connection
}

// AppendPeer appends the Peer message of p, without tag and length. It appends
// nothing if the ID is not valid: js-libp2p loses a whole answer over a bad ID, and over
// an address that it cannot decode.
//
// Addresses are written without "/p2p/" and the ID at their end. An address is left out
// if it ends in another ID, leads through the peer itself, is a duplicate, cannot be decoded,
// or is over [MaxAddrs], [MaxAddr] or [MaxPeer]; so is Certified over [MaxCertified]. An
// address is written depending only on the ones before it: with NotConnected, the message of
// the first n addresses is a prefix of the message of all.
func AppendPeer(dst []byte, p Peer) []byte {
	if !validID([]byte(p.ID)) {
		return dst
	}
	start := len(dst)
	dst = appendBytes(dst, fieldPeerID, []byte(p.ID))
	if len(p.Certified) > 0 && len(p.Certified) <= MaxCertified {
		dst = appendBytes(dst, fieldPeerCertified, p.Certified)
	}
	var room [usualAddrs]multiaddr.Multiaddr
	addrs := addrList{list: room[:0]}
	for _, a := range p.Addrs {
		b := a.Bytes()
		trimmed, ok := addrs.addDecoded(p.ID, a, b)
		if !ok {
			continue
		}
		if len(trimmed) < len(a) {
			b = trimmed.Bytes()
		}
		size := 1 + protowire.SizeBytes(len(b))
		if len(dst)-start+size+sizeConnection > MaxPeer {
			break
		}
		dst = appendBytes(dst, fieldPeerAddr, b)
	}
	return appendConnection(dst, p.Connection)
}

// sizeID is the size of the ID field.
func sizeID(id peer.ID) int {
	return 1 + protowire.SizeBytes(len(id))
}

// sizeConnection is the size of the connection field: a tag and a digit.
const sizeConnection = 2

func appendConnection(dst []byte, c Connection) []byte {
	if c == NotConnected || c > CannotConnect {
		return dst
	}
	return appendVarint(dst, fieldPeerConnection, uint64(c))
}

// ParsePeer reads a Peer message, without tag and length. It fails with
// [ErrMalformed] if b is no message, or if its ID is not valid. Addresses are left out
// as by [AppendPeer].
func ParsePeer(b []byte) (Peer, error) {
	raw, ok := peekPeer(b)
	if !ok || !validID(raw.id) {
		return Peer{}, fmt.Errorf("%w: a peer without a valid ID", ErrMalformed)
	}
	room := MaxPeers
	p := Peer{ID: peer.ID(raw.id), Connection: raw.connection}
	p.fill(b, raw, &room)
	return p, nil
}

// A rawPeer is a Peer message without its addresses. It refers to the bytes it was read
// from.
type rawPeer struct {
	id, certified []byte
	connection    Connection
}

// peekPeer reads a Peer message without its addresses, copies nothing, and reports
// whether it is a message.
func peekPeer(b []byte) (raw rawPeer, ok bool) {
	f := walk(b, maxPeerFields)
	for f.next() {
		if v, ok := f.bytes(fieldPeerID); ok {
			raw.id = v
		} else if v, ok := f.bytes(fieldPeerCertified); ok {
			raw.certified = v
		} else if v, ok := f.varint(fieldPeerConnection); ok {
			raw.connection = NotConnected
			if v <= uint64(CannotConnect) {
				raw.connection = Connection(v)
			}
		}
	}
	return raw, !f.bad
}

// fill reads certified and other addresses into a peer, within its limits and room.
func (p *Peer) fill(b []byte, raw rawPeer, room *int) {
	left := MaxPeer - sizeID(p.ID) - sizeConnection
	if size := sizeCertified(raw.certified); size > 0 && size <= *room {
		p.Certified = clone(raw.certified)
		left -= size
		*room -= size
	}
	p.Addrs = parseAddrs(b, p.ID, left, room)
}

// sizeCertified is the size of the field with b as certified; 0 if it is left out.
func sizeCertified(b []byte) int {
	if len(b) == 0 || len(b) > MaxCertified {
		return 0
	}
	return protowire.SizeTag(fieldPeerCertified) + protowire.SizeBytes(len(b))
}

// parseAddrs reads the addresses of a Peer message, up to left bytes of them. It
// subtracts their size from room, and leaves out the ones that do not fit.
func parseAddrs(b []byte, id peer.ID, left int, room *int) []multiaddr.Multiaddr {
	var addrs addrList
	f := walk(b, maxPeerFields)
	for f.next() {
		v, ok := f.bytes(fieldPeerAddr)
		if !ok {
			continue
		}
		if addrs.list == nil {
			addrs.list = make([]multiaddr.Multiaddr, 0, min(1+len(f.rest)/smallAddr, usualAddrs))
		}
		size := 1 + protowire.SizeBytes(len(v))
		if size > min(left, *room) || addrs.tried == MaxAddrs {
			break
		}
		left -= size
		*room -= size
		addrs.add(id, v)
	}
	return addrs.list
}

const (
	usualAddrs = 8 // of a peer
	smallAddr  = 9 // bytes in a message: /ip4/1.2.3.4/tcp/1 with tag and length, less a bit
)

// lookedFactor is how many entries of a list of peers are looked at, in multiples of the ones
// that are read: a list of 4 MiB with one peer in all entries costs as much as a short one.
const lookedFactor = 4

// parsePeers reads the peers in field num of a message that was opened.
// It leaves out malformed ones, duplicates, and the ones over a limit: it allocates for
// limit peers at most, and looks at four times as many.
func parsePeers(msg []byte, num protowire.Number, limit int) []Peer {
	var (
		peers []Peer
		seen  map[peer.ID]struct{} // made for long lists only
		tried int
		looks = lookedFactor * limit // how many more it looks at
		room  = MaxPeers
	)
	known := func(id []byte) bool {
		if seen != nil {
			_, ok := seen[peer.ID(id)]
			return ok
		}
		for i := range peers {
			if string(peers[i].ID) == string(id) {
				return true
			}
		}
		return false
	}
	f := walk(msg, len(msg))
	for tried < limit && looks > 0 && f.next() {
		b, ok := f.bytes(num)
		if !ok {
			continue
		}
		looks--
		raw, ok := peekPeer(b)
		if !ok || !shapedLikeID(raw.id) || known(raw.id) {
			continue
		}
		tried++ // from here on it costs something
		if !validID(raw.id) {
			continue
		}
		p := Peer{ID: peer.ID(raw.id), Connection: raw.connection}
		if room -= sizeID(p.ID); room < 0 {
			break
		}
		p.fill(b, raw, &room)
		if peers == nil {
			peers = make([]Peer, 0, min(limit, usualPeers))
		}
		peers = append(peers, p)
		if seen != nil {
			seen[p.ID] = struct{}{}
		} else if len(peers) == MaxCloser {
			seen = make(map[peer.ID]struct{}, 2*MaxCloser)
			for i := range peers {
				seen[peers[i].ID] = struct{}{}
			}
		}
	}
	return peers
}

// usualPeers is the number of peers that most answers have: k, and a bit.
const usualPeers = 22

// appendPeers appends peers as field num, up to the limits.
func appendPeers(dst []byte, num protowire.Number, peers []Peer, limit int) []byte {
	var buf [256]byte
	wire := buf[:0]
	w := peerWriter{dst: dst, num: num, limit: limit, room: MaxPeers}
	for _, p := range peers {
		c := p.Connection
		p.Connection = NotConnected
		wire = AppendPeer(wire[:0], p)
		if !w.write(wire, c) {
			break
		}
	}
	return w.dst
}

// appendEncodedPeers appends peers as field num, up to the limits.
func appendEncodedPeers(dst []byte, num protowire.Number, peers []EncodedPeer, limit int) []byte {
	w := peerWriter{dst: dst, num: num, limit: limit, room: MaxPeers}
	for i := range peers {
		if !w.write(peers[i].Wire, peers[i].Connection) {
			break
		}
	}
	return w.dst
}

// peerWriter appends peers to a message until a limit is reached.
type peerWriter struct {
	dst   []byte
	num   protowire.Number
	limit int // peers
	room  int // bytes
}

// write appends a peer, and reports whether there may be room for another.
func (w *peerWriter) write(wire []byte, c Connection) bool {
	if len(wire) == 0 || len(wire) > MaxPeer {
		return true // no peer
	}
	if w.limit == 0 || w.room < len(wire) {
		return false
	}
	w.limit--
	w.room -= len(wire)
	size := len(wire)
	if NotConnected < c && c <= CannotConnect {
		size += sizeConnection
	}
	w.dst = protowire.AppendTag(w.dst, w.num, protowire.BytesType)
	w.dst = protowire.AppendVarint(w.dst, uint64(size))
	w.dst = append(w.dst, wire...)
	w.dst = appendConnection(w.dst, c)
	return true
}
