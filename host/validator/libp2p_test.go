package validator

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"
	"pgregory.net/rapid"
)

// publicKey returns the public key of priv, and its key in the DHT.
func publicKey(priv crypto.PrivKey) (key string, value []byte) {
	return "/pk/" + string(idOf(priv)), must(crypto.MarshalPublicKey(priv.GetPublic()))
}

func TestPublicKeyValidate(t *testing.T) {
	key, value := publicKey(newKey(crypto.RSA))
	otherKey, _ := publicKey(newKey(crypto.ECDSA))
	small, smallValue := publicKey(ed25519Key(1))
	for _, test := range []struct {
		name, key string
		value     []byte
		want      string
	}{
		{"of its peer", key, value, ""},
		{"that is in the ID too", small, smallValue, ""},
		{"of another peer", otherKey, value, "public key does not match"},
		{"padded", key, append(bytes.Clone(value), 0x1a, 0x01, 'x'), "not encoded canonically"},
		{"a field twice", key, append([]byte{0x08, 0x00}, value...), "not encoded canonically"},
		{"no public key", key, nil, "required field"},
		{"another namespace", "/wall" + key[len("/pk"):], value, "namespace not 'pk'"},
		{"no ID", "/pk/x", value, "multihash"},
		{"no namespace", "pk", value, `is not "/namespace/rest"`},
		{"a long key", "/pk/" + strings.Repeat("x", MaxKey), value, "the limit is 1024"},
		{"too large", key, make([]byte, MaxValue+1), "the limit is 1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, PublicKey{}.Validate(test.key, test.value), test.want)
		})
	}
}

// ipnsKey returns the key of the name of a key pair.
func ipnsKey(priv crypto.PrivKey) string { return "/ipns/" + string(idOf(priv)) }

// ipnsRecord returns a record under that name.
func ipnsRecord(priv crypto.PrivKey, seq uint64, expires time.Time) []byte {
	to := must(path.NewPath("/ipfs/bafkqaaa"))
	return must(ipns.MarshalRecord(must(ipns.NewRecord(priv, to, seq, expires, time.Minute))))
}

func TestIPNSValidate(t *testing.T) {
	ann := ed25519Key(1)
	value := ipnsRecord(ann, 1, time.Now().Add(time.Hour))
	forged := bytes.Clone(value)
	forged[len(forged)-1] ^= 1
	for _, test := range []struct {
		name, key string
		value     []byte
		want      error
	}{
		{"of its name", ipnsKey(ann), value, nil},
		{"of another name", ipnsKey(ed25519Key(2)), value, ipns.ErrSignature},
		{"forged", ipnsKey(ann), forged, ipns.ErrSignature},
		{"no name", "/ipns/ann", value, ipns.ErrInvalidName},
		{"another namespace", "/wall" + ipnsKey(ann)[len("/ipns"):], value, ipns.ErrInvalidName},
		{"an empty key", "", value, ipns.ErrInvalidName},
		{"no record", ipnsKey(ann), nil, ipns.ErrInvalidRecord},
		{"too large", ipnsKey(ann), make([]byte, ipns.MaxRecordSize+1), ipns.ErrRecordSize},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := (IPNS{}).Validate(test.key, test.value); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// A record is valid until it expires, and not for longer.
func TestIPNSExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := ed25519Key(1)
		value := ipnsRecord(ann, 1, time.Now().Add(time.Hour))
		time.Sleep(time.Hour)
		if err := (IPNS{}).Validate(ipnsKey(ann), value); err != nil {
			t.Errorf("after an hour: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := (IPNS{}).Validate(ipnsKey(ann), value); !errors.Is(err, ipns.ErrExpiredRecord) {
			t.Errorf("after more than an hour: %v, want that it expired", err)
		}
	})
}

func TestIPNSSelect(t *testing.T) {
	ann := ed25519Key(1)
	now := time.Now()
	older, newer, lasts := ipnsRecord(ann, 1, now.Add(48*time.Hour)), ipnsRecord(ann, 2, now.Add(time.Hour)), ipnsRecord(ann, 2, now.Add(2*time.Hour))
	rapid.Check(t, func(t *rapid.T) {
		ranked := [][]byte{older, newer, lasts}
		values := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 2}), 1, 6).Draw(t, "ranks")
		var given [][]byte
		for _, rank := range values {
			given = append(given, ranked[rank])
		}
		got := must(IPNS{}.Select(ipnsKey(ann), given))
		if values[got] != slices.Max(values) {
			t.Errorf("selected rank %d of %v", values[got], values)
		}
	})
	for _, values := range [][][]byte{nil, {older, []byte("x")}} {
		if _, err := (IPNS{}).Select(ipnsKey(ann), values); err == nil {
			t.Errorf("no error for %d values", len(values))
		}
	}
}
