package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/go-kad/kad/protocol"
)

// maxSkew is how far ahead of ours the clock of another node may be.
const maxSkew = 10 * time.Minute

var (
	// errExpired refuses what was over before it arrived.
	errExpired = errors.New("kad: it has expired already")

	// errBadProof refuses an announcement that somebody passes on without showing
	// that the provider has made it.
	errBadProof = errors.New("kad: nothing shows that the provider made this announcement")
)

// A proof is what a provider signs, so that a node that holds its announcement
// can pass it on: nobody else can announce a peer, and nobody can make an
// announcement last longer. Addresses are not in it: they are hearsay wherever
// they come from, and each node is told only those that it can use.
type proof struct {
	network   lprotocol.ID
	key       []byte
	published time.Time     // to the second
	lifetime  time.Duration // for how long it is good from then on; 0: as long as holders keep any; withdrawn
}

// withdrawn is the lifetime of an announcement that takes back those before it.
const withdrawn = -time.Second

// Domain implements record.Record.
func (*proof) Domain() string { return "kad-announcement" }

// Codec implements record.Record.
func (*proof) Codec() []byte { return []byte("/kad/announcement") }

// MarshalRecord implements record.Record: two times in seconds, then network and
// key, each with its length.
func (p *proof) MarshalRecord() ([]byte, error) {
	b := binary.AppendVarint(nil, p.published.Unix())
	b = binary.AppendVarint(b, int64(p.lifetime/time.Second))
	b = append(binary.AppendUvarint(b, uint64(len(p.network))), p.network...)
	return append(binary.AppendUvarint(b, uint64(len(p.key))), p.key...), nil
}

// UnmarshalRecord implements record.Record.
func (p *proof) UnmarshalRecord(b []byte) error {
	published, n := binary.Varint(b)
	lifetime, m := binary.Varint(b[max(n, 0):])
	if n <= 0 || m <= 0 || lifetime < int64(withdrawn/time.Second) || lifetime > int64(1<<62/time.Second) {
		return errBadProof
	}
	network, rest, ok := cutBytes(b[n+m:])
	if !ok {
		return errBadProof
	}
	key, rest, ok := cutBytes(rest)
	if !ok || len(rest) > 0 {
		return errBadProof
	}
	*p = proof{lprotocol.ID(network), key, time.Unix(published, 0), time.Duration(lifetime) * time.Second}
	return nil
}

// cutBytes reads bytes that begin with their length.
func cutBytes(b []byte) (value, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b[n:])) {
		return nil, nil, false
	}
	return b[n:][:size], b[n:][size:], true
}

// sign returns the proof as it is sent; nil if it cannot be made, as with a host
// that does not give its key away: others then store the announcement, and do not
// pass it on.
func (p proof) sign(key crypto.PrivKey) []byte {
	if key == nil {
		return nil
	}
	envelope, err := record.Seal(&p, key)
	if err != nil {
		return nil
	}
	data, err := envelope.Marshal()
	if err != nil || len(data) > protocol.MaxProof {
		return nil
	}
	return data
}

// verifyProof returns what id has signed about the announcement of a key.
func verifyProof(data []byte, id peer.ID, network lprotocol.ID, key []byte) (proof, error) {
	var p proof
	if len(data) == 0 {
		return p, errBadProof
	}
	envelope, err := record.ConsumeTypedEnvelope(data, &p)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: %w", errBadProof, err)
	case !id.MatchesPublicKey(envelope.PublicKey):
		return p, fmt.Errorf("%w: another peer has signed it", errBadProof)
	case p.network != network || string(p.key) != string(key):
		return p, fmt.Errorf("%w: it is about another key or network", errBadProof)
	}
	return p, nil
}
