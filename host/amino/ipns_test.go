package amino

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ record.Validator = IPNS{}

// must returns v, of a call that cannot fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ed25519Key returns the n-th key of a fixed sequence: the inputs of a fuzz
// target must be the same in every process.
func ed25519Key(n byte) crypto.PrivKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return must(crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed)))
}

// idOf returns the ID of a key pair.
func idOf(priv crypto.PrivKey) peer.ID { return must(peer.IDFromPrivateKey(priv)) }

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

func FuzzIPNS(f *testing.F) {
	ann := ed25519Key(1)
	// Far away: the seeds are the same in every process.
	expires := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Add(ipnsKey(ann), ipnsRecord(ann, 1, expires), ipnsRecord(ann, 2, expires))
	f.Add(ipnsKey(ann), ipnsRecord(ann, 1, expires), ipnsRecord(ann, 1, expires.Add(time.Hour)))
	f.Add("/ipns/x", []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, key string, a, b []byte) {
		for _, value := range [][]byte{a, b} { // no panic, and the same answer twice
			if one, two := (IPNS{}).Validate(key, value), (IPNS{}).Validate(key, value); (one == nil) != (two == nil) {
				t.Errorf("Validate: %v, then %v", one, two)
			}
		}
		if i, err := (IPNS{}).Select(key, [][]byte{a, b}); err == nil && i != 0 && i != 1 {
			t.Errorf("Select returns %d of 2 values", i)
		}
	})
}
