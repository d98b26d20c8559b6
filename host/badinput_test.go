package host

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/go-kad/kad/host/validator"
	"github.com/go-kad/kad/protocol"
)

// tell returns what a node makes of the bytes of a request: nil if it does what it is
// asked for.
func tell(t *testing.T, d *DHT, from peer.ID, req protocol.Request) error {
	t.Helper()
	parsed, err := protocol.ParseRequest(protocol.MarshalRequest(req))
	if err != nil {
		return err
	}
	_, err = d.answer(t.Context(), asker{from, scopePrivate}, parsed)
	return err
}

// What strangers want stored and must not be is refused, with a code that says why,
// and nothing is stored.
func TestBadInput(t *testing.T) {
	n := newTestNet(t)
	owner, ownerID := keyPair(t, crypto.Ed25519)
	_, sender := keyPair(t, crypto.Ed25519)
	d := n.inert(Config{
		Validators: map[string]record.Validator{"v": digits{}, "s": authors{}, "signed": validator.Signed{}},
		MaxValues:  3, MaxValueBytes: 100,
	})
	signedKey := validator.SignedKey("signed", ownerID, "")
	signed, err := validator.Sign(owner, signedKey, 1, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(signed)
	forged[len(forged)-1] ^= 1
	put := func(key string, values ...string) protocol.PutValue {
		var records []protocol.Record
		for _, v := range values {
			records = append(records, protocol.Record{Key: []byte(key), Value: []byte(v)})
		}
		return putOf(records)
	}
	content := []byte(testCID("content").Hash())
	addr := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.1.2.3/tcp/1")}
	announce := func(id peer.ID, proven []byte) protocol.AddProvider {
		return protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addr}}, Proof: proven}
	}
	proofOf := func(change func(*proof)) []byte {
		p := proof{network: d.protocol, key: content, published: time.Now()}
		change(&p)
		return p.sign(owner)
	}
	tests := []struct {
		name string
		give protocol.Request
		want network.StreamErrorCode
	}{
		{"value over the limit", put("/v/key", "1"+string(make([]byte, protocol.MaxValue))), codeMalformed},
		{"key over the limit", put("/v/"+string(make([]byte, protocol.MaxKey)), "1"), codeMalformed},
		{"no namespace", put("key", "1"), codeInvalid},
		{"wrong namespace", put("/w/key", "1"), codeInvalid},
		{"not valid", put("/v/key", "x"), codeInvalid},
		{"invalid signature", put(signedKey, string(forged)), codeInvalid},
		{"signed for another key", put(signedKey+"/other", string(signed)), codeInvalid},
		{"none of a set valid", put("/s/key", "1", "2"), codeInvalid},
		{"two values where there is one", put("/v/key", "1", "2"), codeTooMany},
		{"too many values", put("/s/key", "a1", "b1", "c1", "d1"), codeTooMany},
		{"values too large", put("/s/key", "a1", "b"+string(make([]byte, 100))), codeTooMany},
		{"announcement of another peer", announce(ownerID, nil), codeBadPeer},
		{"of another peer, with garbage", announce(ownerID, []byte("garbage")), codeBadPeer},
		{"proof over the limit", announce(ownerID, make([]byte, protocol.MaxProof+1)), codeMalformed},
		{"proof for another key", announce(ownerID, proofOf(func(p *proof) { p.key = []byte("other") })), codeBadPeer},
		{"proof for another network", announce(ownerID, proofOf(func(p *proof) { p.network = "/other/kad/1.0.0" })), codeBadPeer},
		{"expired on arrival", announce(ownerID, proofOf(func(p *proof) { p.published = time.Now().Add(-48 * time.Hour) })), codeExpired},
		{"its own lifetime is over", announce(ownerID, proofOf(func(p *proof) { p.published, p.lifetime = time.Now().Add(-2*time.Hour), time.Hour })), codeExpired},
		{"from the future", announce(ownerID, proofOf(func(p *proof) { p.published = time.Now().Add(time.Hour) })), codeBadPeer},
		{"about ourselves", announce(d.self, []byte("garbage")), codeBadPeer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tell(t, d, sender, tt.give); err == nil || codeOf(err) != tt.want {
				t.Errorf("%v, code %#x, want %#x", err, codeOf(err), tt.want)
			}
			if values, providers := d.store.Len(); values+providers > 0 {
				t.Errorf("%d values and %d announcements were stored", values, providers)
			}
		})
	}
	t.Run("good ones", func(t *testing.T) {
		for _, req := range []protocol.Request{
			put("/v/key", "1"), put(signedKey, string(signed)), put("/s/key", "a1", "b1"), put("/s/key", "c1", "1"),
			announce(sender, nil), announce(ownerID, proofOf(func(*proof) {})),
		} {
			if err := tell(t, d, sender, req); err != nil {
				t.Errorf("%T: %v", req, err)
			}
		}
		if values, providers := d.store.Len(); values != 3 || providers != 2 {
			t.Errorf("%d values, %d announcements", values, providers)
		}
		if err := tell(t, d, sender, put("/s/key", "d1")); !errors.Is(err, errTooMany) {
			t.Errorf("one too many: %v", err)
		}
		held, err := d.heldValues(t.Context(), []byte("/s/key"), time.Now())
		if err != nil || len(held) != 3 {
			t.Errorf("what was there: %d values, %v", len(held), err)
		}
	})
}

// A record lives as long as its sender says, if that is less than we keep records,
// and no longer than that if the sender says more.
func TestLifetimeOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{RecordAge: 10 * time.Hour})
		forever := n.inert(Config{RecordAge: -1})
		tests := []struct {
			name string
			d    *DHT
			ttl  time.Duration
			want time.Duration // 0: never
		}{
			{"does not say", d, 0, 10 * time.Hour},
			{"less", d, time.Hour, time.Hour},
			{"a second", d, time.Second, time.Second},
			{"more: a lifetime from the future", d, 1<<32*time.Second - time.Second, 10 * time.Hour},
			{"no limit here, and it does not say", forever, 0, 0},
			{"no limit here", forever, time.Hour, time.Hour},
		}
		for i, tt := range tests {
			key := []byte("/v/" + strconv.Itoa(i))
			rec := protocol.Record{Key: key, Value: []byte("1"), TTL: tt.ttl, Publisher: []byte("somebody")}
			if err := tell(t, tt.d, "a peer", protocol.PutValue{Record: rec}); err != nil {
				t.Fatal(err)
			}
			held, err := tt.d.heldValues(t.Context(), key, time.Now())
			if err != nil || len(held) != 1 {
				t.Fatal(held, err)
			}
			if got := left(held[0].Expires, time.Now()); got != tt.want {
				t.Errorf("%s: it lives for %v, want %v", tt.name, got, tt.want)
			}
			if string(held[0].Publisher) != "somebody" {
				t.Errorf("%s: the publisher is %q", tt.name, held[0].Publisher)
			}
		}
	})
}

// However many keys a peer stores, it gets its share of the store and no more; others
// have theirs.
func TestMillionKeysFromOnePeer(t *testing.T) {
	keys := 1_000_000
	if raceEnabled {
		keys = 100_000
	}
	n := newTestNet(t)
	d := n.inert(Config{MaxBytesPerPeer: 1 << 20})
	value := append([]byte("1"), make([]byte, 99)...)
	if _, err := rand.Read(value[1:]); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for i := range keys {
		rec := protocol.Record{Key: []byte("/v/" + strconv.Itoa(i)), Value: value}
		_, err := d.answer(t.Context(), asker{"greedy", scopePublic}, protocol.PutValue{Record: rec})
		switch {
		case err == nil:
			stored++
		case !errors.Is(err, errOverQuota):
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d keys were stored", stored, keys)
	if bytes := stored * len(value); bytes > 1<<20 || bytes < 1<<19 {
		t.Errorf("%d bytes were stored", bytes)
	}
	other := protocol.Record{Key: []byte("/v/other"), Value: value}
	if _, err := d.answer(t.Context(), asker{"modest", scopePublic}, protocol.PutValue{Record: other}); err != nil {
		t.Errorf("another peer: %v", err)
	}
	again := protocol.Record{Key: []byte("/v/0"), Value: value}
	if _, err := d.answer(t.Context(), asker{"greedy", scopePublic}, protocol.PutValue{Record: again}); err != nil {
		t.Errorf("what it has stored, once more: %v", err)
	}
}
