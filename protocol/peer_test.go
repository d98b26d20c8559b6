package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// keyID returns the ID of a new key of a type.
func keyID(t testing.TB, typ int) peer.ID {
	t.Helper()
	_, pub, err := crypto.GenerateKeyPair(typ, 2048)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPeerID(t *testing.T) {
	point := string(keyID(t, crypto.Secp256k1))
	tests := []struct {
		name string
		id   string
		want bool
	}{
		{"ed25519", string(keyID(t, crypto.Ed25519)), true},
		{"secp256k1", point, true},
		{"rsa", string(keyID(t, crypto.RSA)), true},
		{"ecdsa", string(keyID(t, crypto.ECDSA)), true},
		{"none", "", false},
		{"a name", "ann", false},
		{"a byte more", point + "x", false},
		{"a byte less", point[:len(point)-1], false},
		{"x without a point", secp256k1Prefix + "\x02" + strings.Repeat("\xff", 32), false},
		{"identity of something else", "\x00\x05hello", false},
		{"another hash", "\x13\x20" + strings.Repeat("x", 32), false},
		{"a key of another type", "\x00\x24\x08\x07\x12\x20" + strings.Repeat("x", 32), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := AppendPeer([]byte("before"), Peer{ID: peer.ID(tt.id)})
			if got := string(wire) != "before"; got != tt.want {
				t.Errorf("written: %v, want %v", got, tt.want)
			}
			msg := appendBytes(nil, fieldPeerID, []byte(tt.id))
			p, err := ParsePeer(msg)
			if tt.want && (err != nil || p.ID != peer.ID(tt.id)) || !tt.want && !errors.Is(err, ErrMalformed) {
				t.Errorf("ParsePeer() = %v, %v, want it to be a peer: %v", p, err, tt.want)
			}
			resp, err := ParseResponse(FindNode{}, appendBytes([]byte("\x08\x04"), fieldCloser, msg))
			if err != nil || len(resp.Closer) == 1 != tt.want {
				t.Errorf("ParseResponse() = %v, %v, want it to be a peer: %v", resp, err, tt.want)
			}
		})
	}
}

func TestPeerAddrs(t *testing.T) {
	id, other := testID(1), testID(2)
	own, foreign := "/p2p/"+id.String(), "/p2p/"+other.String()
	tests := []struct {
		name string
		give []string
		want []string
	}{
		{"plain", []string{"/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/udp/2/quic-v1"}, []string{"/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/udp/2/quic-v1"}},
		{"own suffix", []string{"/ip4/192.0.2.1/tcp/1" + own}, []string{"/ip4/192.0.2.1/tcp/1"}},
		{"own suffix twice", []string{"/ip4/192.0.2.1/tcp/1" + own + own}, []string{"/ip4/192.0.2.1/tcp/1"}},
		{"suffix alone", []string{own}, nil},
		{"another's suffix", []string{"/ip4/192.0.2.1/tcp/1" + foreign, "/ip4/192.0.2.2/tcp/1"}, []string{"/ip4/192.0.2.2/tcp/1"}},
		{"another's before the own", []string{"/ip4/192.0.2.1/tcp/1" + foreign + own}, nil},
		{"relay", []string{"/ip4/192.0.2.1/tcp/1" + foreign + "/p2p-circuit"}, []string{"/ip4/192.0.2.1/tcp/1" + foreign + "/p2p-circuit"}},
		{"relay with suffix", []string{"/ip4/192.0.2.1/tcp/1" + foreign + "/p2p-circuit" + own}, []string{"/ip4/192.0.2.1/tcp/1" + foreign + "/p2p-circuit"}},
		{"relay to another", []string{"/ip4/192.0.2.1/tcp/1" + own + "/p2p-circuit" + foreign}, nil},
		{"relay that is itself", []string{"/ip4/192.0.2.1/tcp/1" + own + "/p2p-circuit"}, nil},
		{"duplicates", []string{"/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/1" + own, "/ip4/192.0.2.1/tcp/1"}, []string{"/ip4/192.0.2.1/tcp/1"}},
		{"as large as can be", []string{"/unix/" + strings.Repeat("a", MaxAddr-6)}, []string{"/unix/" + strings.Repeat("a", MaxAddr-6)}},
		{"too large", []string{"/unix/" + strings.Repeat("a", MaxAddr-4)}, nil},
		{"as many components as can be", []string{"/ip4/192.0.2.1/tcp/1" + strings.Repeat("/http", maxComponents-2)}, []string{"/ip4/192.0.2.1/tcp/1" + strings.Repeat("/http", maxComponents-2)}},
		{"too many components", []string{"/ip4/192.0.2.1/tcp/1" + strings.Repeat("/http", maxComponents-1)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			give, want := Peer{ID: id, Connection: CanConnect}, Peer{ID: id, Connection: CanConnect}
			msg := appendBytes(nil, fieldPeerID, []byte(id))
			for _, s := range tt.give {
				give.Addrs = append(give.Addrs, addr(t, s))
				msg = appendBytes(msg, fieldPeerAddr, addr(t, s).Bytes())
			}
			for _, s := range tt.want {
				want.Addrs = append(want.Addrs, addr(t, s))
			}
			got, err := ParsePeer(appendConnection(msg, CanConnect))
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, want)
			if got, err = ParsePeer(AppendPeer(nil, give)); err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, want)
		})
	}
}

func TestUndecodableAddrs(t *testing.T) {
	good := addr(t, "/ip4/192.0.2.1/tcp/1")
	bad := []string{
		"",                         // nothing
		"\xff\xff\x7f\x01\x02\x03", // protocol unknown
		"\x04\x01\x02",             // ip4, cut short
		"\x35\x05ab",               // dns, cut short
		"\x35\x00",                 // dns of no bytes
		"\x06",                     // tcp without a port
		"\x80",                     // no varint
		"\x04\x01\x02\x03\x04\x06", // cut after a good component
		"\xa5\x03\x02\x01\x02",     // p2p with no multihash
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // 64 bits
		"\x35\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // a length of 64 bits
		"\x90\x03\x05/sock\x06\x00\x01",                // something after a path
	}
	msg := appendBytes(nil, fieldPeerID, []byte(testID(1)))
	for _, b := range bad {
		msg = appendBytes(msg, fieldPeerAddr, []byte(b))
	}
	msg = appendBytes(msg, fieldPeerAddr, good.Bytes())
	got, err := ParsePeer(msg)
	if err != nil || len(got.Addrs) != 1 || !got.Addrs[0].Equal(good) {
		t.Errorf("ParsePeer() = %v, %v; want %v alone", got, err, good)
	}

	// What others put together need not be an address either.
	unix := addr(t, "/unix/sock")
	p := Peer{ID: testID(1), Addrs: []multiaddr.Multiaddr{nil, {}, {{}}, slices.Concat(unix, good), good}}
	if got, err := ParsePeer(AppendPeer(nil, p)); err != nil || len(got.Addrs) != 1 {
		t.Errorf("written and read: %v, %v; want %v alone", got, err, good)
	}
}

func TestConnection(t *testing.T) {
	for wire, want := range map[string]Connection{
		"":             NotConnected,
		"\x18\x00":     NotConnected,
		"\x18\x01":     Connected,
		"\x18\x02":     CanConnect,
		"\x18\x03":     CannotConnect,
		"\x18\x04":     NotConnected,
		"\x18\x81\x02": NotConnected, // 257: not cut to a byte
		"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": NotConnected,
		"\x18\x01\x18\x09": NotConnected,
	} {
		got, err := ParsePeer(append(AppendPeer(nil, Peer{ID: testID(1)}), wire...))
		if err != nil || got.Connection != want {
			t.Errorf("%x: %v, %v; want %v", wire, got.Connection, err, want)
		}
	}
	p := Peer{ID: testID(1), Connection: 4}
	if got, want := AppendPeer(nil, p), AppendPeer(nil, Peer{ID: p.ID}); !bytes.Equal(got, want) {
		t.Errorf("wrote %x for an unknown connection, want %x", got, want)
	}
	encoded := []EncodedPeer{{AppendPeer(nil, Peer{ID: p.ID}), 4}}
	resp, err := ParseResponse(FindNode{}, AppendEncodedResponse(nil, FindNode{}, nil, encoded, nil))
	if err != nil || len(resp.Closer) != 1 || resp.Closer[0].Connection != NotConnected {
		t.Errorf("read %v, %v for an unknown connection", resp, err)
	}
}

// The message of the first n addresses is a prefix of the message of all.
func TestAppendPeerPrefix(t *testing.T) {
	p := Peer{ID: testID(1)}
	for i := range MaxAddrs + 5 {
		p.Addrs = append(p.Addrs, addr(t, fmt.Sprintf("/dns4/%s/tcp/%d", strings.Repeat("a", 15*i+1), i%7+1)))
	}
	all := AppendPeer(nil, p)
	if len(all) > MaxPeer || len(all) < MaxPeer*3/4 {
		t.Fatalf("%d bytes: not about MaxPeer", len(all))
	}
	for n := range p.Addrs {
		first := AppendPeer(nil, Peer{ID: p.ID, Addrs: p.Addrs[:n]})
		if !bytes.HasPrefix(all, first) {
			t.Errorf("of %d addresses: %x is no prefix of %x", n, first, all)
		}
	}
}

func TestPeerLimits(t *testing.T) {
	id := testID(1)
	many, large := Peer{ID: id}, Peer{ID: id}
	for i := range 2 * MaxAddrs {
		many.Addrs = append(many.Addrs, addr(t, fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1)))
		large.Addrs = append(large.Addrs, addr(t, fmt.Sprintf("/unix/%0400d", i)))
	}
	for name, p := range map[string]Peer{"many": many, "large": large} {
		foreign := appendBytes(nil, fieldPeerID, []byte(id))
		for _, a := range p.Addrs {
			foreign = appendBytes(foreign, fieldPeerAddr, a.Bytes())
		}
		ours := AppendPeer(nil, p)
		if len(ours) > MaxPeer {
			t.Errorf("%s: %d bytes", name, len(ours))
		}
		fromForeign, err1 := ParsePeer(foreign)
		fromOurs, err2 := ParsePeer(ours)
		if n := len(fromOurs.Addrs); err1 != nil || err2 != nil || n > MaxAddrs || n < MaxPeer/450 {
			t.Errorf("%s: %d addresses, %v, %v", name, n, err1, err2)
		}
		checkEqual(t, fromForeign, fromOurs)
	}
}

func TestDuplicatePeers(t *testing.T) {
	for _, n := range []int{3, MaxCloser - 1, MaxCloser, 3 * MaxCloser} {
		peers := testPeers(t, n, 1)
		req := GetProviders{[]byte("k")}
		msg := appendKind(nil, kindOf(req))
		for range 3 {
			msg = appendPeers(msg, fieldProviders, peers, n)
		}
		got, err := ParseResponse(req, msg)
		if err != nil {
			t.Fatal(err)
		}
		checkEqual(t, got, Response{Providers: peers})
	}
}

// One bad entry does not cost the others.
func TestBadPeersAreSkipped(t *testing.T) {
	peers := testPeers(t, 3, 2)
	msg := []byte("\x08\x04")
	for _, p := range peers {
		for _, bad := range []string{"", "\xff", "\x0a\x05hello", "\x0a\x26", "\x12\x01\x04", "\x08\x01"} {
			msg = appendBytes(msg, fieldCloser, []byte(bad))
		}
		msg = appendBytes(msg, fieldCloser, append(AppendPeer(nil, p), "\x22\x03sig"...))
	}
	got, err := ParseResponse(FindNode{}, msg)
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, got, Response{Closer: peers})

	encoded := append([]EncodedPeer{{}, {Wire: make([]byte, MaxPeer+1)}}, encode(peers)...)
	got, err = ParseResponse(FindNode{}, AppendEncodedResponse(nil, FindNode{}, nil, encoded, nil))
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, got, Response{Closer: peers})
}

// An address that is put together from parts is written if what is written is read
// as that address, and else left out.
func TestAppendPeerOfParts(t *testing.T) {
	id := testPeers(t, 1, 1)[0].ID
	parts := []multiaddr.Multiaddr{
		multiaddr.StringCast("/unix/a/b"), multiaddr.StringCast("/ip4/192.0.2.1"), multiaddr.StringCast("/tcp/1"),
		multiaddr.StringCast("/dns/example.com"),
		{multiaddr.Component{}},
	}
	for _, first := range parts {
		for _, second := range parts {
			joined := slices.Concat(first, second)
			got, err := ParsePeer(AppendPeer(nil, Peer{ID: id, Addrs: []multiaddr.Multiaddr{joined}}))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Addrs) > 0 && !bytes.Equal(got.Addrs[0].Bytes(), joined.Bytes()) {
				t.Errorf("%v was written, and read as %v", joined, got.Addrs[0])
			}
			read, err := multiaddr.NewMultiaddrBytes(joined.Bytes())
			if want := err == nil && bytes.Equal(read.Bytes(), joined.Bytes()); want != (len(got.Addrs) == 1) {
				t.Errorf("%v: written %v, want %v", joined, len(got.Addrs) == 1, want)
			}
		}
	}
}

// What is certified is bounded, counts towards the size of its peer, and is in each
// prefix of it.
func TestCertified(t *testing.T) {
	for _, tt := range []struct{ size, want int }{{0, 0}, {1, 1}, {MaxCertified, MaxCertified}, {MaxCertified + 1, 0}} {
		p := testPeers(t, 1, 2)[0]
		p.Certified = bytes.Repeat([]byte("c"), tt.size)
		wire := AppendPeer(nil, p)
		got, err := ParsePeer(wire)
		if err != nil || len(got.Certified) != tt.want || len(got.Addrs) != 2 {
			t.Errorf("%d bytes: read %d bytes, %d addresses, %v", tt.size, len(got.Certified), len(got.Addrs), err)
		}
		p.Addrs = p.Addrs[:1]
		if !bytes.HasPrefix(wire, AppendPeer(nil, p)) {
			t.Errorf("%d bytes: the message with fewer addresses is no prefix", tt.size)
		}
		// Others may write more than they should.
		long := appendBytes(appendBytes(nil, fieldPeerID, []byte(p.ID)), fieldPeerCertified, bytes.Repeat([]byte("c"), tt.size))
		if got, err := ParsePeer(long); err != nil || len(got.Certified) != tt.want {
			t.Errorf("%d bytes from others: read %d bytes, %v", tt.size, len(got.Certified), err)
		}
	}
	var peers []Peer
	for i := range 2 * MaxPeers / MaxCertified {
		peers = append(peers, Peer{ID: testID(i), Certified: make([]byte, MaxCertified)})
	}
	resp, err := ParseResponse(GetProviders{[]byte("k")}, AppendResponse(nil, GetProviders{[]byte("k")}, Response{Providers: peers}))
	if n := len(resp.Providers); err != nil || n == 0 || n > MaxPeers/MaxCertified {
		t.Errorf("%d peers with all they can have certified, %v; want what fits into MaxPeers", n, err)
	}
}
