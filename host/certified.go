package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// errBadCertificate refuses addresses that a peer has not certified, or that are no
// longer, or not yet, good.
var errBadCertificate = errors.New("kad: the peer has not certified these addresses")

// A certificate is what a peer says itself of where it is: the content of its signed
// peer record.
type certificate struct {
	addrs []multiaddr.Multiaddr
	made  time.Time
}

// certify returns the signed peer record of id; nil if there is nothing to certify,
// or it cannot be, as with a host that does not give its key away. The sequence
// number is the time, as go-libp2p has it, so that it tells the age.
func certify(key crypto.PrivKey, id peer.ID, addrs []multiaddr.Multiaddr, now time.Time) []byte {
	if key == nil || len(addrs) == 0 {
		return nil
	}
	envelope, err := record.Seal(&peer.PeerRecord{
		PeerID: id,
		Addrs:  addrs[:min(len(addrs), protocol.MaxAddrs)],
		Seq:    uint64(now.UnixNano()),
	}, key)
	if err != nil {
		return nil
	}
	data, err := envelope.Marshal()
	if err != nil || len(data) > protocol.MaxCertified {
		return nil
	}
	return data
}

// verifyCertified returns what id has certified, if it is still good at now: as long
// as a presence.
func verifyCertified(data []byte, id peer.ID, now time.Time) (certificate, error) {
	var rec peer.PeerRecord
	if len(data) == 0 {
		return certificate{}, errBadCertificate
	}
	envelope, err := record.ConsumeTypedEnvelope(data, &rec)
	switch {
	case err != nil:
		return certificate{}, fmt.Errorf("%w: %w", errBadCertificate, err)
	case !id.MatchesPublicKey(envelope.PublicKey) || rec.PeerID != id:
		return certificate{}, fmt.Errorf("%w: another peer has signed them, or they are another's", errBadCertificate)
	case rec.Seq > uint64(now.Add(maxSkew).UnixNano()):
		return certificate{}, fmt.Errorf("%w: they are from the future", errBadCertificate)
	}
	c := certificate{certifiedAddrs(&rec), time.Unix(0, int64(rec.Seq))} //nolint:gosec // not after now
	if now.Sub(c.made) >= presenceLifetime {
		return certificate{}, fmt.Errorf("%w: they are too old", errBadCertificate)
	}
	return c, nil
}

// certifiedAddrs returns the addresses of a record in the form of those in messages.
func certifiedAddrs(rec *peer.PeerRecord) []multiaddr.Multiaddr {
	p, err := protocol.ParsePeer(protocol.AppendPeer(nil, protocol.Peer{ID: rec.PeerID, Addrs: rec.Addrs}))
	if err != nil {
		return nil
	}
	return p.Addrs
}

// reachOf returns how far the certified addresses reach that reach least far: a
// record cannot be told in part. It does not look at who has signed them. If it is
// no record, it reaches nobody.
func reachOf(data []byte) (s scope, ok bool) {
	envelope, err := record.UnmarshalEnvelope(data)
	if err != nil {
		return 0, false
	}
	var rec peer.PeerRecord
	if rec.UnmarshalRecord(envelope.RawPayload) != nil || len(rec.Addrs) == 0 {
		return 0, false
	}
	s = scopePublic
	for _, a := range rec.Addrs {
		s = min(s, scopeOf(a))
	}
	return s, true
}

// passable returns what is certified if all of it may be told to, or believed from, a
// peer at s; else nil.
func passable(data []byte, s scope) []byte {
	if len(data) == 0 {
		return nil
	}
	if reach, ok := reachOf(data); !ok || reach < s {
		return nil
	}
	return data
}

// widest returns those of addrs that reach farthest.
func widest(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	s := scopeLoopback
	for _, a := range addrs {
		s = max(s, scopeOf(a))
	}
	return fit(addrs, s)
}
