package validator

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// payload is what is signed: the message Entry of the package comment. It
// implements record.Record of go-libp2p.
type payload struct {
	key  string
	seq  uint64
	data []byte
}

// The fields of the message.
const (
	fieldKey  protowire.Number = 1
	fieldSeq  protowire.Number = 2
	fieldData protowire.Number = 3
)

// Domain keeps our signatures apart from all others that a libp2p key makes.
func (*payload) Domain() string { return "kad-signed-entry" }

// Codec is the payload type of the envelope.
func (*payload) Codec() []byte { return []byte("/kad/signed-entry/1") }

// MarshalRecord encodes the payload, in the one way that UnmarshalRecord reads.
func (p *payload) MarshalRecord() ([]byte, error) {
	b := protowire.AppendTag(nil, fieldKey, protowire.BytesType)
	b = protowire.AppendString(b, p.key) // never empty: see split
	if p.seq != 0 {
		b = protowire.AppendTag(b, fieldSeq, protowire.VarintType)
		b = protowire.AppendVarint(b, p.seq)
	}
	if len(p.data) != 0 {
		b = protowire.AppendTag(b, fieldData, protowire.BytesType)
		b = protowire.AppendBytes(b, p.data)
	}
	return b, nil
}

// UnmarshalRecord decodes what MarshalRecord writes, and nothing else. The data
// is a part of b.
func (p *payload) UnmarshalRecord(b []byte) error {
	*p = payload{}
	for rest := b; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("a tag: %w", protowire.ParseError(n))
		}
		rest = rest[n:]
		switch {
		case num == fieldKey && typ == protowire.BytesType:
			p.key, n = protowire.ConsumeString(rest)
		case num == fieldSeq && typ == protowire.VarintType:
			p.seq, n = protowire.ConsumeVarint(rest)
		case num == fieldData && typ == protowire.BytesType:
			p.data, n = protowire.ConsumeBytes(rest)
		default:
			return fmt.Errorf("there is no field %d of type %d", num, typ)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w", num, protowire.ParseError(n))
		}
		rest = rest[n:]
	}
	if again, err := p.MarshalRecord(); err != nil || !bytes.Equal(again, b) {
		return errors.New("it is not encoded canonically")
	}
	return nil
}
