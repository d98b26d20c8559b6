package announce

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/go-kad/kad/host/internal/kaderr"
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
	b = append(binary.AppendUvarint(b, uint64(len(p.Network))), p.Network...)
	return append(binary.AppendUvarint(b, uint64(len(p.Key))), p.Key...), nil
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
// not pass it on.
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
	if len(data) == 0 {
		return p, kaderr.ErrBadProof
	}
	envelope, err := record.ConsumeTypedEnvelope(data, &p)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: %w", kaderr.ErrBadProof, err)
	case !id.MatchesPublicKey(envelope.PublicKey):
		return p, fmt.Errorf("%w: another peer has signed it", kaderr.ErrBadProof)
	case p.Network != network || string(p.Key) != string(key):
		return p, fmt.Errorf("%w: it is about another key or network", kaderr.ErrBadProof)
	}
	return p, nil
}

// Remaining returns how much longer an announcement is good; 0 if its lifetime is not
// limited.
func (p Proof) Remaining(now time.Time) time.Duration {
	if p.Lifetime == 0 {
		return 0
	}
	return p.Lifetime - max(0, now.Sub(p.Published))
}
