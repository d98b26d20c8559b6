package holder

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
)

// signedBy returns an announcement of content, with a proof.
func signedBy(key crypto.PrivKey, id peer.ID, content []byte, port int) protocol.AddProvider {
	return protocol.AddProvider{
		Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(port)}},
		Proof: announce.Proof{Network: testProtocol, Key: content, Published: time.Now()}.Sign(key),
	}
}

// However many announcements of identities that were made for it a stranger passes on, or the
// identities of its network send, the honest providers are in the answers, and among the first
// of each: announcements of one origin have one share of what is kept and of what is told.
func TestHostileProviders(t *testing.T) {
	roomtest.Long(t)
	const honest, answers = 20, 200
	content := []byte("a multihash")
	for _, tt := range []struct {
		name     string
		senders  int  // which the attacker has, each in a network of its own
		hostile  int  // announcements of each
		itself   bool // each identity sends its own, from the network of its sender
		passedOn bool // a holder has passed the honest ones on
		repeats  bool // the attacker passes the honest ones on, too, before and after
	}{
		{"passed on by one sender", 1, 1000, false, false, false},
		{"of one network", 1, 1100, true, false, false},
		{"honest ones passed on", 1, 1100, false, true, false},
		{"honest ones passed on by the attacker, too", 1, 1100, false, false, true},
		{"passed on by 5 senders", 5, 250, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHolder(t, Config{})
			networks := make(map[peer.ID]string)
			h.quota.network = func(id peer.ID) network { return network{networks[id], networks[id]} }
			send := func(from peer.ID, add protocol.AddProvider) {
				t.Helper()
				if err := receive(t, h, from, add); err != nil {
					t.Fatal(err)
				}
			}
			ids := make(map[peer.ID]bool)
			var adds []protocol.AddProvider
			for i := range honest {
				key, id := roomtest.NewPeer(t)
				ids[id], networks[id] = true, fmt.Sprintf("60.%d.0.0", i)
				adds = append(adds, signedBy(key, id, content, i))
			}
			networks["hostile 0"] = "192.0.2.0"
			pass := func() {
				for _, add := range adds {
					if tt.repeats {
						send("hostile 0", add)
					}
				}
			}
			pass()
			for _, add := range adds {
				from := add.Providers[0].ID
				if tt.passedOn {
					from = "a holder"
				}
				send(from, add)
			}
			for i := range tt.hostile {
				for s := range tt.senders {
					key, id := roomtest.NewPeer(t)
					from := peer.ID(fmt.Sprint("hostile ", s))
					networks[from] = fmt.Sprintf("192.0.%d.0", 2+s)
					if tt.itself {
						networks[id], from = networks[from], id
					}
					send(from, signedBy(key, id, content, i))
				}
			}
			pass()
			var named []int // honest ones in an answer
			seen, among := make(map[peer.ID]bool), 0
			for range answers {
				n := 0
				for i, p := range providers(t, h, scope.Private, content) {
					if ids[p.ID] {
						n, seen[p.ID] = n+1, true
						if i < 2*honest*tt.senders {
							among++
						}
					}
				}
				named = append(named, n)
			}
			enough := 0
			for _, n := range named {
				if n >= 15 {
					enough++
				}
			}
			t.Logf("%d of %d answers name at least 15 of %d honest providers, all name %d; %.1f are among the first %d",
				enough, answers, honest, len(seen), float64(among)/answers, 2*honest*tt.senders)
			if enough < answers/2 || len(seen) < honest || among < answers*15 {
				t.Errorf("honest providers are buried")
			}
		})
	}
}

// The announcements that a peer was the first to pass on do not stay in its share, where they would
// make room for the ones that it has made up, when others pass them on too.
func TestHostileFirstToPassOn(t *testing.T) {
	const count, holders = 40, 4
	h := newHolder(t, Config{})
	content := []byte("a multihash")
	h.quota.network = func(id peer.ID) network { return network{group: string(id), wide: string(id)} }
	first := 0
	for i := range count {
		key, id := roomtest.NewPeer(t)
		add := signedBy(key, id, content, i)
		var liar uint64
		for from := range 1 + holders {
			if err := receive(t, h, peer.ID(fmt.Sprint("holder ", from)), add); err != nil {
				t.Fatal(err)
			}
			held, err := h.cfg.Store.Provider(t.Context(), content, string(id), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case from == 0:
				liar = held.Origin
			case from == holders && held.Origin == liar:
				first++
			}
		}
	}
	if first == 0 || first > count*3/5 { // one of 1+holders, by chance
		t.Errorf("%d of %d stay in the share of the first of %d peers that pass them on", first, count, 1+holders)
	}
}

// A passed-on presence has a proof of the peer, and the addresses of a liar: they are not
// taken, neither where the holder has none, nor for a later presence of the peer.
func TestHostilePresence(t *testing.T) {
	for name, held := range map[string]bool{"none is held": false, "an older one is held": true} {
		h := newHolder(t, Config{})
		key, id := roomtest.NewPeer(t)
		mine, false9 := roomtest.Addrs(publicAddr), roomtest.Addrs("/ip4/9.9.9.9/tcp/1")
		presence := func(published time.Time, p protocol.Peer) protocol.AddProvider {
			proof := announce.Proof{Network: testProtocol, Key: []byte(id), Published: published, Lifetime: announce.PresenceLifetime}
			return protocol.AddProvider{Key: []byte(id), Providers: []protocol.Peer{p}, Proof: proof.Sign(key)}
		}
		send := func(from peer.ID, add protocol.AddProvider) {
			t.Helper()
			if err := receiveAt(t, h, From{ID: from, At: scope.Public}, add); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if held {
			send(id, presence(time.Now().Add(-time.Minute), protocol.Peer{ID: id, Addrs: mine}))
		}
		otherKey, other := roomtest.NewPeer(t)
		for _, certified := range [][]byte{nil, announce.Certify(otherKey, other, false9, time.Now()), announce.Certify(otherKey, id, false9, time.Now())} {
			send("a liar", presence(time.Now(), protocol.Peer{ID: id, Addrs: false9, Certified: certified}))
			got, _ := h.Presence(t.Context(), id, time.Now())
			for _, a := range got.Addrs {
				if !a.Equal(mine[0]) {
					t.Errorf("%s: the address of a liar is held: %v", name, a)
				}
			}
			if held && len(got.Addrs) != 1 {
				t.Errorf("%s: its addresses are gone: %v", name, got)
			}
		}
		send("a holder", presence(time.Now().Add(time.Second), protocol.Peer{ID: id, Addrs: false9, Certified: announce.Certify(key, id, mine, time.Now())}))
		if got, ok := h.Presence(t.Context(), id, time.Now()); !ok || len(got.Addrs) != 1 || !got.Addrs[0].Equal(mine[0]) {
			t.Errorf("%s: held is %v, want what the peer has certified", name, got)
		}
	}
}
