package announce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// MaxSkew is how far ahead of ours the clock of another node may be.
const MaxSkew = 10 * time.Minute

// A Proof is what a provider signs, so that a holder of its announcement can pass it
// on: no other peer can announce the provider, or make an announcement last longer.
// Addresses are not in it: each peer is given only the addresses that it can use.
type Proof struct {
	Network   lprotocol.ID
	Key       []byte
	Published time.Time     // to the second
	Lifetime  time.Duration // for how long it is good from then on; 0: as long as holders keep any; Withdrawn
}

// Withdrawn is the lifetime of an announcement that takes back the earlier ones.
const Withdrawn = -time.Second

// Domain implements record.Record.
func (*Proof) Domain() string { return "kad-announcement" }

// Codec implements record.Record.
func (*Proof) Codec() []byte { return []byte("/kad/announcement") }

// MarshalRecord implements record.Record: two times in seconds, then network and
// key, each with its length.
func (p *Proof) MarshalRecord() ([]byte, error) {
	b := binary.AppendVarint(nil, p.Published.Unix())
	b = binary.AppendVarint(b, int64(p.Lifetime/time.Second))
	b = protocol.AppendBytes(b, []byte(p.Network))
	return protocol.AppendBytes(b, p.Key), nil
}

// UnmarshalRecord implements record.Record.
func (p *Proof) UnmarshalRecord(b []byte) error {
	published, n := binary.Varint(b)
	lifetime, m := binary.Varint(b[max(n, 0):])
	if n <= 0 || m <= 0 || lifetime < int64(Withdrawn/time.Second) || lifetime > int64(1<<62/time.Second) {
		return kaderr.ErrBadProof
	}
	network, rest, ok := protocol.CutBytes(b[n+m:])
	if !ok {
		return kaderr.ErrBadProof
	}
	key, rest, ok := protocol.CutBytes(rest)
	if !ok || len(rest) > 0 {
		return kaderr.ErrBadProof
	}
	*p = Proof{lprotocol.ID(network), key, time.Unix(published, 0), time.Duration(lifetime) * time.Second}
	return nil
}

// Sign returns the proof as it is sent. It is nil if it cannot be made, as with a host
// that keeps its private key to itself: holders then store the announcement, and do
// not pass it on. It has up to [protocol.MaxProof] bytes, with any key that libp2p knows.
func (p Proof) Sign(key crypto.PrivKey) []byte {
	return seal(&p, key, protocol.MaxProof)
}

// seal returns a signed record; nil if there is no key, or the record is too large.
func seal(rec record.Record, key crypto.PrivKey, most int) []byte {
	if key == nil {
		return nil
	}
	envelope, err := record.Seal(rec, key)
	if err != nil {
		return nil
	}
	data, err := envelope.Marshal()
	if err != nil || len(data) > most {
		return nil
	}
	return data
}

// Verify returns what id has signed about the announcement of a key.
func Verify(data []byte, id peer.ID, network lprotocol.ID, key []byte) (Proof, error) {
	var p Proof
	envelope, err := record.ConsumeTypedEnvelope(data, &p)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: %w", kaderr.ErrBadProof, err)
	case !id.MatchesPublicKey(envelope.PublicKey):
		return p, fmt.Errorf("%w: another peer has signed it", kaderr.ErrBadProof)
	}
	return p, p.about(network, key)
}

// about returns an error unless a proof is about the announcement of a key.
func (p *Proof) about(network lprotocol.ID, key []byte) error {
	if p.Network != network || string(p.Key) != string(key) {
		return fmt.Errorf("%w: it is about another key or network", kaderr.ErrBadProof)
	}
	return nil
}

// Read is Verify without a look at who has signed, for a proof that came on a connection to the
// provider itself: what it says was said by the provider. The signature may be false. Verify
// takes some fifty times as long.
func Read(data []byte, network lprotocol.ID, key []byte) (Proof, error) {
	payload := payloadOf(data)
	if payload == nil { // before p is allocated: most announcements of other implementations
		return Proof{}, kaderr.ErrBadProof
	}
	p := new(Proof)
	if err := p.UnmarshalRecord(payload); err != nil {
		return Proof{}, err
	}
	return *p, p.about(network, key)
}

// fieldPayload is the number of the payload in the message Envelope of libp2p.
const fieldPayload protowire.Number = 3

// payloadOf returns the payload of an envelope, nil if it has none.
func payloadOf(envelope []byte) (payload []byte) {
	for len(envelope) > 0 {
		num, kind, n := protowire.ConsumeTag(envelope)
		if n < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(num, kind, envelope[n:])
		if size < 0 {
			return nil
		}
		if num == fieldPayload && kind == protowire.BytesType {
			payload, _ = protowire.ConsumeBytes(envelope[n:])
		}
		envelope = envelope[n+size:]
	}
	return payload
}

// Remaining returns how much longer an announcement is good; 0 if its lifetime is not
// limited.
func (p Proof) Remaining(now time.Time) time.Duration {
	if p.Lifetime == 0 {
		return 0
	}
	return p.Lifetime - max(0, now.Sub(p.Published))
}

// errBadCertificate refuses addresses that a peer has not certified, or whose
// certificate is too old, or from the future.
var errBadCertificate = errors.New("kad: the peer has not certified these addresses")

// A Certificate is the content of a signed peer record: the addresses that a peer
// states of itself.
type Certificate struct {
	Addrs []multiaddr.Multiaddr
	Made  time.Time
}

// Certify returns the signed peer record of id with the first of its addresses that fit
// into [protocol.MaxCertified]; nil if there is no address, or no key, as with a host that
// keeps its private key to itself. The sequence number is the time, as in go-libp2p, so
// that it gives the age.
func Certify(key crypto.PrivKey, id peer.ID, addrs []multiaddr.Multiaddr, now time.Time) []byte {
	addrs = fitting(addrs, protocol.MaxCertified)
	for len(addrs) > 0 && key != nil {
		data := seal(&peer.PeerRecord{PeerID: id, Addrs: addrs, Seq: uint64(now.UnixNano())}, key, math.MaxInt)
		over := len(data) - protocol.MaxCertified
		if over <= 0 {
			return data
		}
		for over > 0 && len(addrs) > 0 { // the key and the signature of RSA take up to 2 KiB
			over -= sizeOf(addrs[len(addrs)-1])
			addrs = addrs[:len(addrs)-1]
		}
	}
	return nil
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
