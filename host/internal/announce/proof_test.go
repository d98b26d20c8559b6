package announce

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// What a provider has signed is good for that provider, key and network, and for
// nothing else.
func TestProof(t *testing.T) {
	const network = lprotocol.ID("/test/kad/1.0.0")
	key := []byte("a multihash")
	made := Proof{Network: network, Key: key, Published: time.Unix(1_700_000_000, 0), Lifetime: 3 * time.Hour}
	for _, kind := range []int{crypto.Ed25519, crypto.RSA, crypto.ECDSA, crypto.Secp256k1} {
		private, id := roomtest.NewPeerWith(t, kind, 2048)
		data := made.Sign(private)
		if len(data) == 0 || len(data) > protocol.MaxProof {
			t.Fatalf("kind %d: a proof of %d bytes", kind, len(data))
		}
		got, err := Verify(data, id, network, key)
		if err != nil || !got.Published.Equal(made.Published) || got.Lifetime != made.Lifetime {
			t.Errorf("kind %d: %v, %v", kind, got, err)
		}
		if read, err := Read(data, network, key); err != nil || !read.Published.Equal(got.Published) || read.Lifetime != got.Lifetime {
			t.Errorf("kind %d: %v is read, %v; want %v", kind, read, err, got)
		}
		_, other := roomtest.NewPeer(t)
		broken := append([]byte{}, data...)
		broken[len(broken)-1] ^= 1
		for name, err := range map[string]error{
			"another peer":    second(Verify(data, other, network, key)),
			"another key":     second(Verify(data, id, network, []byte("another"))),
			"another network": second(Verify(data, id, "/other/kad/1.0.0", key)),
			"a changed byte":  second(Verify(broken, id, network, key)),
			"nothing":         second(Verify(nil, id, network, key)),
			"garbage":         second(Verify([]byte("garbage"), id, network, key)),

			"another key, read":     second(Read(data, network, []byte("another"))),
			"another network, read": second(Read(data, "/other/kad/1.0.0", key)),
			"nothing, read":         second(Read(nil, network, key)),
			"garbage, read":         second(Read([]byte("garbage"), network, key)),
			"half, read":            second(Read(data[:len(data)/2], network, key)),
		} {
			if !errors.Is(err, kaderr.ErrBadProof) {
				t.Errorf("kind %d, %s: %v, want kaderr.ErrBadProof", kind, name, err)
			}
		}
	}
	if (Proof{}).Sign(nil) != nil {
		t.Error("a proof without a key")
	}
}

func second[A, B any](_ A, b B) B { return b }

// Read reads of an envelope what libp2p does.
func FuzzPayload(f *testing.F) {
	private, _ := roomtest.NewPeer(f)
	f.Add(Proof{"/test/kad/1.0.0", []byte("key"), time.Unix(1_700_000_000, 0), time.Hour}.Sign(private))
	f.Add([]byte{0x1a, 0x01, 0x61, 0x1a, 0x01, 0x62})
	f.Fuzz(func(t *testing.T, in []byte) {
		if e, err := record.UnmarshalEnvelope(in); err == nil && !bytes.Equal(e.RawPayload, payloadOf(in)) {
			t.Errorf("%x: %x is read, want %x", in, payloadOf(in), e.RawPayload)
		}
	})
}

// What is signed is read as it was written, and anything else is an error.
func FuzzProof(f *testing.F) {
	whole, err := (&Proof{"/test/kad/1.0.0", []byte("key"), time.Unix(1_700_000_000, 0), time.Hour}).MarshalRecord()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		var p, again Proof
		if p.UnmarshalRecord(in) != nil {
			return
		}
		out, err := p.MarshalRecord()
		if err != nil || again.UnmarshalRecord(out) != nil || again.Network != p.Network || !again.Published.Equal(p.Published) {
			t.Errorf("%x: %v became %v, %v", in, p, again, err)
		}
	})
}
