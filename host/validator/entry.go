package validator

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// Entry is what a signed value says.
type Entry struct {
	Owner peer.ID // who signed it
	Seq   uint64  // of several of one owner, the highest counts
	Data  []byte  // of the application; nil if it is empty
}

// Sign returns the value that says data under a key, signed by the owner of
// priv. Of several values of an owner under one key, that with the highest
// seq counts. The key is one of [SignedKey] for [Signed], or any in the namespace of a
// [SignedSet].
//
// The error says if the key has no namespace, if key or value are larger than
// [MaxKey] and [MaxValue], or why priv does not sign. Sign does not check whether the
// owner may write there: the validator does.
func Sign(priv crypto.PrivKey, key string, seq uint64, data []byte) ([]byte, error) {
	if _, _, err := split(key); err != nil {
		return nil, err
	}
	envelope, err := record.Seal(&payload{key: key, seq: seq, data: data}, priv)
	if err != nil {
		return nil, err
	}
	value, err := envelope.Marshal()
	if err != nil {
		return nil, err
	}
	if err := checkSize(value); err != nil {
		return nil, err
	}
	return value, nil
}

// Open returns what a value of [Sign] says under a key, and its owner, which has signed it.
// It fails if the value was changed, or signed for another key.
//
// Whether that owner may write under the key depends on the validator, and a
// value from the DHT has passed it. For a value from elsewhere, call Validate.
func Open(key string, value []byte) (Entry, error) {
	if _, _, err := split(key); err != nil {
		return Entry{}, err
	}
	entry, err := parse(key, value)
	if err != nil {
		return Entry{}, err
	}
	// The signature comes last: it is what costs most.
	if _, err := record.ConsumeTypedEnvelope(value, &payload{}); err != nil {
		return Entry{}, fmt.Errorf("the entry is not signed by %s: %w", entry.Owner, err)
	}
	return entry, nil
}

// parse is [Open] without the check of the signature.
func parse(key string, value []byte) (Entry, error) {
	if err := checkSize(value); err != nil {
		return Entry{}, err
	}
	envelope, err := record.UnmarshalEnvelope(value)
	if err != nil {
		return Entry{}, fmt.Errorf("the value is not a signed envelope: %w", err)
	}
	var p payload
	if !bytes.Equal(envelope.PayloadType, p.Codec()) {
		return Entry{}, fmt.Errorf("the envelope holds %.40q, not %q", envelope.PayloadType, p.Codec())
	}
	if err := p.UnmarshalRecord(envelope.RawPayload); err != nil {
		return Entry{}, fmt.Errorf("the entry in the envelope: %w", err)
	}
	if p.key != key {
		return Entry{}, fmt.Errorf("the entry was signed for the key %.100q, not for %q", p.key, key)
	}
	if again, err := envelope.Marshal(); err != nil || !bytes.Equal(again, value) {
		return Entry{}, errors.New("the envelope is not encoded canonically")
	}
	owner, err := peer.IDFromPublicKey(envelope.PublicKey)
	if err != nil {
		return Entry{}, fmt.Errorf("the public key in the envelope: %w", err)
	}
	return Entry{Owner: owner, Seq: p.seq, Data: p.data}, nil
}

// held is an entry with the bytes that say it.
type held struct {
	Entry
	value []byte
}

// newer reports whether an entry supersedes another one. Its bytes decide
// between equal sequence numbers, so that everybody decides alike.
func (h held) newer(than held) bool {
	if h.Seq != than.Seq {
		return h.Seq > than.Seq
	}
	return bytes.Compare(h.value, than.value) > 0
}

// newest returns the index of the value that supersedes all others. Of equal
// ones it is the first.
func newest(key string, values [][]byte) (int, error) {
	best, top := -1, held{}
	for i, value := range values {
		entry, err := parse(key, value)
		if err != nil {
			return -1, fmt.Errorf("value %d: %w", i, err)
		}
		if next := (held{entry, value}); best < 0 || next.newer(top) {
			best, top = i, next
		}
	}
	if best < 0 {
		return -1, errNoValues
	}
	return best, nil
}
