package validator

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/core/record/pb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const aKey = "/wall/hello"

func TestSignAndOpen(t *testing.T) {
	for name, typ := range keyTypes() {
		t.Run(name, func(t *testing.T) {
			priv := newKey(typ)
			for _, seq := range []uint64{0, 1, math.MaxUint64} {
				for _, data := range []string{"", "hello"} {
					entry, err := Open(aKey, sign(priv, aKey, seq, data))
					if err != nil {
						t.Fatal(err)
					}
					if entry.Owner != idOf(priv) || entry.Seq != seq || string(entry.Data) != data {
						t.Errorf("signed %d %q, opened %+v", seq, data, entry)
					}
				}
			}
		})
	}
}

func TestSignLimits(t *testing.T) {
	priv := ed25519Key(1)
	empty := len(sign(priv, aKey, 1, ""))
	for _, test := range []struct {
		name, key string
		data      int
		want      string
	}{
		{"as large as can be", aKey, MaxValue - empty - 10, ""},
		{"data as large as a value", aKey, MaxValue, "bytes, the limit is 1048576"},
		{"the longest key", "/ns/" + strings.Repeat("k", MaxKey-4), 1, ""},
		{"a longer key", "/ns/" + strings.Repeat("k", MaxKey-3), 1, "the key has 1025 bytes, the limit is 1024"},
		{"no namespace", "key", 1, `is not "/namespace/rest"`},
		{"no rest", "/ns/", 1, `is not "/namespace/rest"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			value, err := Sign(priv, test.key, 1, make([]byte, test.data))
			wantError(t, err, test.want)
			if err != nil {
				return
			}
			if _, err := Open(test.key, value); err != nil {
				t.Errorf("signed, and not opened: %v", err)
			}
		})
	}
}

// What a value says is copied out of it.
func TestOpenCopies(t *testing.T) {
	value := sign(ed25519Key(1), aKey, 1, "hello")
	entry := must(Open(aKey, value))
	clear(value)
	if string(entry.Data) != "hello" {
		t.Errorf("the data changed with the value: %q", entry.Data)
	}
}

// No bit of a value can be changed.
func TestOpenRefusesEveryChange(t *testing.T) {
	value := sign(ed25519Key(1), aKey, 7, "hello")
	for i := range value {
		for bit := range 8 {
			changed := bytes.Clone(value)
			changed[i] ^= 1 << bit
			if entry, err := Open(aKey, changed); err == nil {
				t.Errorf("byte %d, bit %d: opened as %+v", i, bit, entry)
			}
		}
	}
	for n := range value {
		if _, err := Open(aKey, value[:n]); err == nil {
			t.Errorf("the first %d bytes were opened", n)
		}
	}
}

// other is a record of another application, or of an owner who writes what Sign
// does not.
type other struct {
	domain, codec string
	payload       []byte
}

func (o other) Domain() string                 { return o.domain }
func (o other) Codec() []byte                  { return []byte(o.codec) }
func (o other) MarshalRecord() ([]byte, error) { return o.payload, nil }
func (o other) UnmarshalRecord([]byte) error   { return nil }

// seal signs whatever an owner likes.
func seal(priv crypto.PrivKey, domain, codec string, payload []byte) []byte {
	return must(must(record.Seal(other{domain, codec, payload}, priv)).Marshal())
}

func TestOpenRefusesWhatSignDoesNotMake(t *testing.T) {
	var p payload
	domain, codec := p.Domain(), string(p.Codec())
	field := func(num protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), value)
	}
	number := func(num protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), value)
	}
	for _, test := range []struct {
		name, domain, codec string
		payload             [][]byte
		want                string
	}{
		{"as Sign does", domain, codec, [][]byte{field(1, aKey), number(2, 7), field(3, "hello")}, ""},
		{"the domain of peer records", "libp2p-peer-record", codec, [][]byte{field(1, aKey)}, "the entry is not signed by 12D3"},
		{"another payload type", domain, "/kad/signed-entry/2", [][]byte{field(1, aKey)}, `the envelope holds "/kad/signed-entry/2"`},
		{"a prefix of the payload type", domain, codec[:5], [][]byte{field(1, aKey)}, `the envelope holds "/kad/"`},
		{"another key", domain, codec, [][]byte{field(1, "/wall/bye")}, `was signed for the key "/wall/bye"`},
		{"no key", domain, codec, [][]byte{number(2, 7)}, "not encoded canonically"},
		{"a longer key", domain, codec, [][]byte{field(1, strings.Repeat("k", 4*MaxKey))}, "was signed for the key"},
		{"a key that is a number", domain, codec, [][]byte{number(1, 7)}, "no field 1 of type 0"},
		{"a field of the future", domain, codec, [][]byte{field(1, aKey), field(4, "x")}, "no field 4 of type 2"},
		{"another order", domain, codec, [][]byte{number(2, 7), field(1, aKey)}, "not encoded canonically"},
		{"a field twice", domain, codec, [][]byte{field(1, aKey), number(2, 6), number(2, 7)}, "not encoded canonically"},
		{"a zero written out", domain, codec, [][]byte{field(1, aKey), number(2, 0)}, "not encoded canonically"},
		{"no data written out", domain, codec, [][]byte{field(1, aKey), field(3, "")}, "not encoded canonically"},
		{"a longer varint", domain, codec, [][]byte{field(1, aKey), {0x10, 0x87, 0x00}}, "not encoded canonically"},
		{"a varint that is too long", domain, codec, [][]byte{field(1, aKey), {0x10}, bytes.Repeat([]byte{0xff}, 11)}, "field 2"},
		{"a field that ends early", domain, codec, [][]byte{field(1, aKey), {0x1a, 0x05, 'h'}}, "field 3"},
		{"a tag that ends early", domain, codec, [][]byte{field(1, aKey), {0xff}}, "a tag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(aKey, seal(ed25519Key(1), test.domain, test.codec, bytes.Join(test.payload, nil)))
			wantError(t, err, test.want)
		})
	}
}

func TestOpenRefusesOtherEnvelopes(t *testing.T) {
	value := sign(ed25519Key(1), aKey, 7, "hello")
	var envelope pb.Envelope
	if err := proto.Unmarshal(value, &envelope); err != nil {
		t.Fatal(err)
	}
	foreign := proto.Clone(&envelope).(*pb.Envelope)
	foreign.PublicKey = must(crypto.PublicKeyToProto(ed25519Key(2).GetPublic()))
	anonymous := proto.Clone(&envelope).(*pb.Envelope)
	anonymous.PublicKey = nil
	unsigned := proto.Clone(&envelope).(*pb.Envelope)
	unsigned.Signature = nil
	for _, test := range []struct {
		name  string
		value []byte
		want  string
	}{
		{"as it was", value, ""},
		{"nothing", nil, "the value is not a signed envelope"},
		{"text", []byte("hello"), "the value is not a signed envelope"},
		{"a field that nobody reads", append(bytes.Clone(value), 0x32, 0x01, 'x'), "the envelope is not encoded canonically"},
		{"a field twice", append(bytes.Clone(value), value[len(value)-66:]...), "the envelope is not encoded canonically"},
		{"the key of another peer", must(proto.Marshal(foreign)), "the entry is not signed by 12D3"},
		{"no public key", must(proto.Marshal(anonymous)), "the value is not a signed envelope"},
		{"no signature", must(proto.Marshal(unsigned)), "the entry is not signed by 12D3"},
		{"too large", make([]byte, MaxValue+1), "the value has 1048577 bytes, the limit is 1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(aKey, test.value)
			wantError(t, err, test.want)
		})
	}
}

// A stranger can compute a second signature of some types of keys. It says the
// same, and all agree on one of the two.
func TestSecondSignature(t *testing.T) {
	value := sign(newKey(crypto.ECDSA), aKey, 7, "hello")
	var envelope pb.Envelope
	if err := proto.Unmarshal(value, &envelope); err != nil {
		t.Fatal(err)
	}
	var signature struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(envelope.Signature, &signature); err != nil {
		t.Fatal(err)
	}
	signature.S.Sub(elliptic.P256().Params().N, signature.S)
	envelope.Signature = must(asn1.Marshal(signature))
	second := must(proto.Marshal(&envelope))

	a, b := must(Open(aKey, value)), must(Open(aKey, second))
	if a.Owner != b.Owner || a.Seq != b.Seq || !bytes.Equal(a.Data, b.Data) {
		t.Errorf("%+v became %+v", a, b)
	}
	one := [][]byte{value, second}[must(newest(aKey, [][]byte{value, second}))]
	two := [][]byte{second, value}[must(newest(aKey, [][]byte{second, value}))]
	if !bytes.Equal(one, two) {
		t.Error("the order decides between two signatures")
	}
}
