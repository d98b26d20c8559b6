package announce

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

const (
	publicAddr  = "/ip4/60.1.0.1/udp/4001/quic-v1"
	relayedAddr = "/ip4/40.1.0.1/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit"
	privateAddr = "/ip4/192.168.1.2/tcp/4001"
	loopAddr    = "/ip4/127.0.0.1/tcp/4001"
)

// What a peer has certified is believed if it has, of itself, and lately.
func TestVerifyCertificate(t *testing.T) {
	now := time.Now()
	key, id := roomtest.NewPeer(t)
	otherKey, other := roomtest.NewPeer(t)
	addrs := roomtest.Addrs(publicAddr, relayedAddr)
	good := Certify(key, id, addrs, now)
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	p := Proof{Network: "/test/kad/1.0.0", Key: []byte("k"), Published: now}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"good", good, nil},
		{"old, not too old", Certify(key, id, addrs, now.Add(-PresenceLifetime+time.Second)), nil},
		{"a clock that is a little ahead", Certify(key, id, addrs, now.Add(MaxSkew-time.Second)), nil},
		{"nothing", nil, errBadCertificate},
		{"garbage", []byte("garbage"), errBadCertificate},
		{"forged", changed, errBadCertificate},
		{"signed by another", Certify(otherKey, id, addrs, now), errBadCertificate},
		{"another's", Certify(otherKey, other, addrs, now), errBadCertificate},
		{"signed by itself, about another", Certify(key, other, addrs, now), errBadCertificate},
		{"too old", Certify(key, id, addrs, now.Add(-PresenceLifetime)), errBadCertificate},
		{"from the future", Certify(key, id, addrs, now.Add(MaxSkew+time.Second)), errBadCertificate},
		{"something else that it has signed", p.Sign(key), errBadCertificate},
	}
	for _, tt := range tests {
		got, err := VerifyCertificate(tt.data, id, now)
		if !errors.Is(err, tt.want) || err == nil && !scope.Same(got.Addrs, addrs) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got.Addrs, err, tt.want)
		}
	}
	if got, err := VerifyCertificate(good, id, now); err != nil || !got.Made.Equal(time.Unix(0, now.UnixNano())) {
		t.Errorf("made at %v, %v; want %v", got.Made, err, now)
	}
}

// The record is that of libp2p, which others can read.
func TestCertifyIsPeerRecord(t *testing.T) {
	key, id := roomtest.NewPeer(t)
	envelope, rec, err := record.ConsumeEnvelope(Certify(key, id, roomtest.Addrs(publicAddr), time.Now()), peer.PeerRecordEnvelopeDomain)
	if err != nil || !id.MatchesPublicKey(envelope.PublicKey) || rec.(*peer.PeerRecord).PeerID != id {
		t.Errorf("%v, %v, %v", envelope, rec, err)
	}
	if Certify(nil, id, roomtest.Addrs(publicAddr), time.Now()) != nil || Certify(key, id, nil, time.Now()) != nil {
		t.Error("something is certified without a key, or without addresses")
	}
}

// A record is told as a whole or not at all.
func TestPassable(t *testing.T) {
	key, id := roomtest.NewPeer(t)
	for _, tt := range []struct {
		addrs []string
		want  []scope.Scope // of the requesters that may have it
	}{
		{[]string{publicAddr, relayedAddr}, []scope.Scope{scope.Loopback, scope.Private, scope.Public}},
		{[]string{publicAddr, privateAddr}, []scope.Scope{scope.Loopback, scope.Private}},
		{[]string{loopAddr, publicAddr}, []scope.Scope{scope.Loopback}},
	} {
		data := Certify(key, id, roomtest.Addrs(tt.addrs...), time.Now())
		for _, s := range []scope.Scope{scope.Loopback, scope.Private, scope.Public} {
			if got := passable(data, s) != nil; got != slices.Contains(tt.want, s) {
				t.Errorf("%v to scope %d: %v", tt.addrs, s, got)
			}
		}
	}
	if passable([]byte("garbage"), scope.Loopback) != nil {
		t.Error("garbage is told")
	}
}

// A requester gets the certificate with the addresses, unless the certificate says more.
func TestAnnounceCertified(t *testing.T) {
	key, id := roomtest.NewPeer(t)
	for _, tt := range []struct {
		certified []string
		want      bool
	}{
		{[]string{publicAddr}, true},
		{[]string{publicAddr, privateAddr}, false},
	} {
		cert := Certify(key, id, roomtest.Addrs(tt.certified...), time.Now())
		a := Encode(protocol.Peer{ID: id, Addrs: roomtest.Addrs(loopAddr, privateAddr, publicAddr), Certified: cert})
		for s, want := range map[scope.Scope]int{scope.Public: 1, scope.Private: 2, scope.Loopback: 3} {
			p, err := protocol.ParsePeer(a.For(s))
			if err != nil || len(p.Addrs) != want || (p.Certified != nil) != tt.want {
				t.Errorf("certified %v, scope %d: %d addresses, certified: %v, %v", tt.certified, s, len(p.Addrs), p.Certified != nil, err)
			}
		}
	}
}

func TestWidest(t *testing.T) {
	for _, tt := range []struct{ give, want []string }{
		{[]string{loopAddr, privateAddr, publicAddr, relayedAddr}, []string{publicAddr, relayedAddr}},
		{[]string{loopAddr, privateAddr}, []string{privateAddr}},
		{[]string{loopAddr}, []string{loopAddr}},
		{nil, nil},
	} {
		if got := Widest(roomtest.Addrs(tt.give...)); !scope.Same(got, roomtest.Addrs(tt.want...)) {
			t.Errorf("Widest(%v) = %v, want %v", tt.give, got, tt.want)
		}
	}
}
