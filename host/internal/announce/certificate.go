package announce

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// errBadCertificate refuses addresses that a peer has not certified, or whose
// certificate is too old, or from the future.
var errBadCertificate = errors.New("kad: the peer has not certified these addresses")

// A Certificate is the content of a signed peer record: the addresses that a peer
// states of itself.
type Certificate struct {
	Addrs []multiaddr.Multiaddr
	Made  time.Time
}

// Certify returns the signed peer record of id; nil if there is no address, or no key,
// as with a host that keeps its private key to itself. The sequence number is the
// time, as in go-libp2p, so that it gives the age.
func Certify(key crypto.PrivKey, id peer.ID, addrs []multiaddr.Multiaddr, now time.Time) []byte {
	if len(addrs) == 0 {
		return nil
	}
	return seal(&peer.PeerRecord{
		PeerID: id,
		Addrs:  addrs[:min(len(addrs), protocol.MaxAddrs)],
		Seq:    uint64(now.UnixNano()),
	}, key, protocol.MaxCertified)
}

// VerifyCertificate returns what id has certified. It fails for a certificate that is
// not good at now: it lasts as long as a presence.
func VerifyCertificate(data []byte, id peer.ID, now time.Time) (Certificate, error) {
	var rec peer.PeerRecord
	if len(data) == 0 {
		return Certificate{}, errBadCertificate
	}
	envelope, err := record.ConsumeTypedEnvelope(data, &rec)
	switch {
	case err != nil:
		return Certificate{}, fmt.Errorf("%w: %w", errBadCertificate, err)
	case !id.MatchesPublicKey(envelope.PublicKey) || rec.PeerID != id:
		return Certificate{}, fmt.Errorf("%w: they belong to, or are signed by, another peer", errBadCertificate)
	case rec.Seq > uint64(now.Add(MaxSkew).UnixNano()):
		return Certificate{}, fmt.Errorf("%w: they are from the future", errBadCertificate)
	}
	c := Certificate{CertifiedAddrs(&rec), time.Unix(0, int64(rec.Seq))} //nolint:gosec // not after now
	if now.Sub(c.Made) >= PresenceLifetime {
		return Certificate{}, fmt.Errorf("%w: they are too old", errBadCertificate)
	}
	return c, nil
}

// CertifiedAddrs returns the addresses of a record in the form of those in messages.
func CertifiedAddrs(rec *peer.PeerRecord) []multiaddr.Multiaddr {
	p, err := protocol.ParsePeer(protocol.AppendPeer(nil, protocol.Peer{ID: rec.PeerID, Addrs: rec.Addrs}))
	if err != nil {
		return nil
	}
	return p.Addrs
}

// reachOf returns the scope of the certified address that reaches least far: a record
// cannot be given in part. It does not check the signature. It is false for anything
// that is no record.
func reachOf(data []byte) (s scope.Scope, ok bool) {
	envelope, err := record.UnmarshalEnvelope(data)
	if err != nil {
		return 0, false
	}
	var rec peer.PeerRecord
	if rec.UnmarshalRecord(envelope.RawPayload) != nil || len(rec.Addrs) == 0 {
		return 0, false
	}
	s = scope.Public
	for _, a := range rec.Addrs {
		s = min(s, scope.Of(a))
	}
	return s, true
}

// passable returns a certificate if all of it may be given to, or believed from, a peer
// at s; else nil.
func passable(data []byte, s scope.Scope) []byte {
	if len(data) == 0 {
		return nil
	}
	if reach, ok := reachOf(data); !ok || reach < s {
		return nil
	}
	return data
}

// Widest returns the addresses that reach farthest.
func Widest(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	s := scope.Loopback
	for _, a := range addrs {
		s = max(s, scope.Of(a))
	}
	return scope.Reaching(addrs, s)
}
