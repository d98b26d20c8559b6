package announce

import (
	"slices"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// Peers with addresses of all protocols in any order, and none, are encoded, restricted and
// certified: an address that cannot be told is left out.
func TestOddAddrs(t *testing.T) {
	now := time.Now()
	key, id := roomtest.NewPeer(t)
	for some := range slices.Chunk(roomtest.OddAddrs(t), 40) { // more than are told
		p := protocol.Peer{ID: id, Addrs: some}
		add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{p}}
		wires := []Wire{Encode(p, some...), Brief([]byte("key"), p, now, nil), Brief([]byte(id), p, now)}
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			wires = append(wires, new(Last).Brief([]byte("key"), p, s, now))
			for _, w := range wires {
				if told := w.For(s); told == nil {
					continue
				} else if _, err := protocol.ParsePeer(told); err != nil {
					t.Errorf("%v: what is told to scope %d cannot be read: %v", some, s, err)
				}
			}
			RestrictAll(add, s)
		}
		data := Certify(key, id, Widest(some), now)
		if cert, err := VerifyCertificate(data, id, now); data != nil && err != nil || len(cert.Addrs) > scope.MaxTold {
			t.Errorf("%d addresses are certified: %v", len(cert.Addrs), err)
		}
	}
	for _, a := range roomtest.OddAddrs(t) {
		one := []multiaddr.Multiaddr{a}
		w := Encode(protocol.Peer{ID: id, Addrs: one})
		if !SameAddrs(w, Encode(protocol.Peer{ID: id, Addrs: one}, a)) {
			t.Errorf("%v is another address if it is proved", a)
		}
	}
}

// What was read from a store, whatever it is, is told without a panic.
func FuzzKept(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	good := Kept{now, Encode(protocol.Peer{ID: aPeer, Addrs: roomtest.Addrs(public, private, loopback)}), []byte("proof")}.Marshal()
	f.Add(good)
	f.Add(Kept{Published: now, Wire: good[8:40]}.Marshal())
	f.Add(Kept{Published: now, Wire: Wire{0xff, 0xff, 0xff, 0xff, 1}}.Marshal())
	f.Fuzz(func(_ *testing.T, in []byte) {
		k := ParseKept(in)
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			k.For(now, s)
			k.Wire.For(s)
		}
		k.Peer(now)
		SameAddrs(k.Wire, k.Wire)
		ParseKept(k.Marshal())
	})
}

// Signed data that a peer sends, whatever it is, is verified without harm.
func FuzzVerify(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	key, id := roomtest.NewPeer(f)
	f.Add(Certify(key, id, roomtest.Addrs(public, private), now))
	f.Add(Proof{Network: "/test/kad/1.0.0", Key: []byte("key"), Published: now, Lifetime: time.Hour}.Sign(key))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		cert, err := VerifyCertificate(in, id, now)
		if err == nil && len(cert.Addrs) > protocol.MaxAddrs {
			t.Errorf("%d addresses", len(cert.Addrs))
		}
		if _, err := Verify(in, id, "/test/kad/1.0.0", []byte("key")); err != nil {
			passable(in, scope.Public)
		}
		Brief([]byte(id), protocol.Peer{ID: id, Certified: in, Addrs: roomtest.Addrs(public)}, now)
	})
}
