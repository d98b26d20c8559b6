package holder

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// The addresses of an announcement are given for a day, and the provider for longer: a
// requester then looks it up.
func TestAddressesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{})
		_, provider := roomtest.NewPeer(t)
		content := []byte("a multihash")
		add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}}}
		start := time.Now()
		if err := receive(t, h, provider, add); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			after time.Duration
			addrs int
			found int
		}{{0, 1, 1}, {23 * time.Hour, 1, 1}, {25 * time.Hour, 0, 1}, {47 * time.Hour, 0, 1}, {48 * time.Hour, 0, 0}} {
			time.Sleep(tt.after - time.Since(start))
			got := providers(t, h, scope.Private, content)
			if len(got) != tt.found || tt.found > 0 && len(got[0].Addrs) != tt.addrs {
				t.Errorf("after %v: %v, want %d with %d addresses", tt.after, got, tt.found, tt.addrs)
			}
			known, err := h.Known(t.Context(), content, time.Now())
			if err != nil || len(known) != tt.found || tt.found > 0 && (known[0].ID != provider || len(known[0].Addrs) != tt.addrs) {
				t.Errorf("after %v, Known() = %v, %v", tt.after, known, err)
			}
		}
	})
}

// A key with more providers than an answer holds has others in each answer, and the
// presence of the key's own peer in all of them.
func TestManyProviders(t *testing.T) {
	h := newHolder(t, Config{MaxBytesPerPeer: -1})
	const count = 1000
	key := []byte(calltest.ID(500))
	for i := range count + 10 {
		add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: calltest.ID(i), Addrs: addrOf(i)}}}
		if i == 500 {
			continue // comes last, because a presence expires first
		}
		if err := receive(t, h, calltest.ID(i), add); err != nil {
			t.Fatal(err)
		}
	}
	if _, held := h.Len(); held != count {
		t.Errorf("%d announcements are held, want %d", held, count)
	}
	if err := h.cfg.Store.RemoveProvider(t.Context(), key, string(calltest.ID(900))); err != nil {
		t.Fatal(err)
	}
	presence := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: calltest.ID(500), Addrs: addrOf(500)}}}
	if err := receive(t, h, calltest.ID(500), presence); err != nil {
		t.Fatal(err)
	}
	seen := make(map[peer.ID]bool)
	for range 30 {
		got := providers(t, h, scope.Private, key)
		if len(got) != maxServedProviders || got[0].ID != calltest.ID(500) {
			t.Fatalf("%d providers in an answer, the first is %v", len(got), got[0].ID)
		}
		for _, p := range got {
			seen[p.ID] = true
		}
	}
	if len(seen) < count*9/10 {
		t.Errorf("30 answers name %d providers", len(seen))
	}
	for i := range 9 {
		if seen[calltest.ID(i)] {
			t.Errorf("provider %d, which announced itself first, was not dropped for later ones", i)
		}
	}
}

// The presence of the key's own peer comes first in an answer, wherever the store has it.
func TestPresenceComesFirst(t *testing.T) {
	h := newHolder(t, Config{})
	own := calltest.ID(1)
	if err := receive(t, h, own, protocol.AddProvider{Key: []byte(own), Providers: []protocol.Peer{{ID: own, Addrs: addrOf(1)}}}); err != nil {
		t.Fatal(err)
	}
	for i, lifetime := range []time.Duration{announce.PresenceLifetime / 2, 2 * announce.PresenceLifetime} { // one expires before it
		key, id := roomtest.NewPeer(t)
		add := protocol.AddProvider{Key: []byte(own), Providers: []protocol.Peer{{ID: id, Addrs: addrOf(2 + i)}}}
		add.Proof = announce.Proof{Network: testProtocol, Key: add.Key, Published: time.Now(), Lifetime: lifetime}.Sign(key)
		if err := receive(t, h, id, add); err != nil {
			t.Fatal(err)
		}
	}
	if got := providers(t, h, scope.Private, []byte(own)); len(got) != 3 || got[0].ID != own {
		t.Errorf("%v, want three, and first %s", got, own)
	}
}

// Origins take turns, and what has no origin has the first turn.
func TestByTurns(t *testing.T) {
	var list []store.Provider
	for i, origin := range []uint64{7, 7, 7, 0, 8, 0, 8} {
		list = append(list, store.Provider{ID: string('a' + rune(i)), Origin: origin})
	}
	byTurns(list)
	order := ""
	for _, p := range list {
		order += p.ID
	}
	if want := "adefbgc"; order != want {
		t.Errorf("%s, want %s", order, want)
	}
}

// A requester is given neither itself, nor addresses that it cannot use; a provider
// without such an address is named alone.
func TestProvidersOfScope(t *testing.T) {
	h := newHolder(t, Config{})
	content := []byte("a multihash")
	all := roomtest.Addrs("/ip4/127.0.0.1/tcp/1", privateAddr, publicAddr)
	for _, tt := range []struct {
		from     scope.Scope
		loopback int // how many addresses a requester on the same machine is given, and so on
		private  int
		public   int
	}{{scope.Loopback, 3, 2, 1}, {scope.Private, 2, 2, 1}, {scope.Public, 1, 1, 1}} {
		add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: all}}}
		if err := receiveAt(t, h, From{ID: calltest.ID(1), At: tt.from}, add); err != nil {
			t.Fatal(err)
		}
		for s, want := range map[scope.Scope]int{scope.Loopback: tt.loopback, scope.Private: tt.private, scope.Public: tt.public} {
			if got := providers(t, h, s, content); len(got) != 1 || len(got[0].Addrs) != want {
				t.Errorf("announced at scope %d, given at %d: %v, want %d addresses", tt.from, s, got, want)
			}
		}
		if got, err := h.Providers(t.Context(), nil, From{ID: calltest.ID(1), At: tt.from}, content, time.Now()); err != nil || len(got) != 0 {
			t.Errorf("the provider is given itself: %v, %v", got, err)
		}
	}
	add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: roomtest.Addrs(privateAddr)}}}
	if err := receiveAt(t, h, From{ID: calltest.ID(1), At: scope.Private}, add); err != nil {
		t.Fatal(err)
	}
	if got := providers(t, h, scope.Public, content); len(got) != 1 || len(got[0].Addrs) != 0 {
		t.Errorf("%v, want the provider without an address", got)
	}
}

// The node answers for what it provides at once, with the addresses of its host, for
// the lifetime or until it stops; its announcement is accepted by another holder.
func TestProvide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{})
		for _, lifetime := range []time.Duration{0, time.Hour} {
			if err := h.Provide(t.Context(), []byte("key"), lifetime, time.Now()); err != nil {
				t.Fatal(err)
			}
			if got := providers(t, h, scope.Private, []byte("key")); len(got) != 1 || got[0].ID != h.self || len(got[0].Addrs) == 0 {
				t.Errorf("%v", got)
			}
			copies, err := h.Copies(t.Context(), store.KindProvider, []byte("key"), 0)
			if err != nil || len(copies) != 1 {
				t.Fatal(copies, err)
			}
			signed, err := announce.Verify(copies[0].(protocol.AddProvider).Proof, h.self, testProtocol, []byte("key"))
			if err != nil || signed.Lifetime != lifetime {
				t.Errorf("a copy is good for %v, %v; want %v", signed.Lifetime, err, lifetime)
			}
			wait := 2 * lifetime
			if wait == 0 {
				wait = 50 * time.Hour // longer than others hold it
			}
			time.Sleep(wait)
			if got := providers(t, h, scope.Private, []byte("key")); (len(got) == 1) != (lifetime == 0) {
				t.Errorf("after %v of %v: %v", wait, lifetime, got)
			}
		}
		if err := h.Provide(t.Context(), []byte("key"), 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := h.StopProviding(t.Context(), []byte("key")); err != nil || len(providers(t, h, scope.Private, []byte("key"))) != 0 {
			t.Errorf("it answers for what it has stopped to provide, %v", err)
		}
		if err := receive(t, newHolder(t, Config{}), "a holder", h.Announcement([]byte("key"), time.Hour, time.Now())); err != nil {
			t.Errorf("its announcement, passed on: %v", err)
		}
	})
}

// A full store does not keep the node from providing.
func TestProvideWithFullStore(t *testing.T) {
	h := newHolder(t, Config{Store: store.NewMemory(store.Limits{ProviderBytes: 1})})
	if err := h.Provide(t.Context(), []byte("key"), 0, time.Now()); err != nil {
		t.Error(err)
	}
}

// An announcement that is passed on is as good as one of the provider itself, until
// there is a later one, and it does not bring an older one back.
func TestPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder(t, Config{})
		private, provider := roomtest.NewPeer(t)
		content := []byte("a multihash")
		add := func(port int) protocol.AddProvider {
			p := announce.Proof{Network: testProtocol, Key: content, Published: time.Now()}
			return protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(port)}}, Proof: p.Sign(private)}
		}
		first := add(1)
		time.Sleep(time.Hour)
		second := add(2)
		time.Sleep(time.Hour)
		liar := second // the same proof, with another address
		liar.Providers = []protocol.Peer{{ID: provider, Addrs: addrOf(9)}}
		for _, step := range []struct {
			name string
			from peer.ID
			give protocol.AddProvider
			port int
			left time.Duration
		}{
			{"the older one, passed on", "a holder", first, 1, 46 * time.Hour},
			{"the newer one, passed on", "a holder", second, 2, 47 * time.Hour},
			{"the older one again", "another", first, 2, 47 * time.Hour},
			{"the newer one, with another address", "another", liar, 2, 47 * time.Hour},
			{"by the provider", provider, add(3), 3, 48 * time.Hour},
			{"the newer one again", "another", second, 3, 48 * time.Hour},
		} {
			if err := receive(t, h, step.from, step.give); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			got := providers(t, h, scope.Private, content)
			if len(got) != 1 || len(got[0].Addrs) != 1 || !got[0].Addrs[0].Equal(addrOf(step.port)[0]) {
				t.Errorf("%s: %v, want port %d", step.name, got, step.port)
			}
			p, err := h.cfg.Store.Provider(t.Context(), content, string(provider), time.Now())
			if err != nil || time.Until(p.Expires).Round(time.Second) != step.left {
				t.Errorf("%s: it lives for %v, %v; want %v", step.name, time.Until(p.Expires), err, step.left)
			}
		}
	})
}

// Only the peer itself can announce and withdraw its presence, and a holder can pass it
// on with what the peer has certified.
func TestPresenceIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, next := newHolder(t, Config{}), newHolder(t, Config{})
		key, id := roomtest.NewPeer(t)
		otherKey, other := roomtest.NewPeer(t)
		ahead := time.Duration(0) // of the clock of the peer
		sign := func(lifetime time.Duration) []byte {
			return announce.Proof{Network: testProtocol, Key: []byte(id), Published: time.Now().Add(ahead), Lifetime: lifetime}.Sign(key)
		}
		self := protocol.Peer{ID: id, Addrs: roomtest.Addrs(publicAddr), Certified: announce.Certify(key, id, roomtest.Addrs(publicAddr), time.Now())}
		send := func(h *Holder, as peer.ID, p protocol.Peer, proof []byte) error {
			return receiveAt(t, h, From{ID: as, At: scope.Public}, protocol.AddProvider{Key: []byte(id), Providers: []protocol.Peer{p}, Proof: proof})
		}
		if send(h, other, protocol.Peer{ID: other, Addrs: roomtest.Addrs(publicAddr)}, nil) == nil {
			t.Error("another peer is announced under the ID")
		}
		if err := send(h, id, self, sign(announce.PresenceLifetime)); err != nil {
			t.Fatal(err)
		}
		copies, err := h.Copies(t.Context(), store.KindProvider, []byte(id), 0)
		if err != nil || len(copies) != 1 {
			t.Fatal(copies, err)
		}
		if err := receiveAt(t, next, From{ID: other, At: scope.Public}, copies[0]); err != nil {
			t.Fatalf("it is not passed on: %v", err)
		}
		foreign := announce.Proof{Network: testProtocol, Key: []byte(id), Published: time.Now()}.Sign(otherKey)
		if send(h, "a holder", protocol.Peer{ID: other, Addrs: roomtest.Addrs(publicAddr)}, foreign) == nil {
			t.Error("another peer is announced under the ID, passed on")
		}
		if own, err := h.Providers(t.Context(), nil, From{ID: id, At: scope.Public}, []byte(id), time.Now()); err != nil || len(own) != 1 {
			t.Errorf("the peer is told of its presence %v, %v", own, err)
		}
		for _, h := range []*Holder{h, next} {
			got, ok := h.Presence(t.Context(), id, time.Now())
			if given := providers(t, h, scope.Public, []byte(id)); !ok || len(got.Addrs) != 1 || len(given) != 1 {
				t.Fatalf("Presence() = %v, %v; an answer has %v", got, ok, given)
			}
			if _, err := announce.VerifyCertificate(got.Certified, id, time.Now()); err != nil {
				t.Error(err)
			}
		}
		if send(next, other, protocol.Peer{ID: id}, sign(announce.Withdrawn)) == nil || len(providers(t, next, scope.Public, []byte(id))) != 1 {
			t.Error("another peer has withdrawn it")
		}
		wrong := announce.Proof{Network: testProtocol, Key: []byte("another key"), Published: time.Now(), Lifetime: announce.Withdrawn}.Sign(key)
		if err := send(next, id, self, wrong); err != nil || len(providers(t, next, scope.Public, []byte(id))) != 1 {
			t.Errorf("it is withdrawn with the proof of another key: %v", err)
		}
		ahead = time.Hour
		if err := send(next, id, protocol.Peer{ID: id}, sign(announce.Withdrawn)); err != nil || len(providers(t, next, scope.Public, []byte(id))) != 0 {
			t.Errorf("it is not withdrawn: %v", err)
		}
		time.Sleep(announce.PresenceLifetime)
		if _, ok := h.Presence(t.Context(), id, time.Now()); ok || len(providers(t, h, scope.Public, []byte(id))) != 0 {
			t.Error("it is given after its lifetime")
		}
	})
}

// A holder keeps a presence for its lifetime, for any record age of the holder, and
// whatever its proof says.
func TestPresenceLifetime(t *testing.T) {
	const presence = announce.PresenceLifetime
	synctest.Test(t, func(t *testing.T) {
		key, id := roomtest.NewPeer(t)
		_, other := roomtest.NewPeer(t)
		for _, age := range []time.Duration{48 * time.Hour, -1} {
			for name, tt := range map[string]struct {
				key   []byte
				sign  bool
				from  peer.ID
				after time.Duration // of the proof
				want  time.Duration // 0: for ever
				fails bool
			}{
				"without proof":      {[]byte(id), false, id, 0, presence, false},
				"for ever":           {[]byte(id), true, id, 0, presence, false},
				"passed on":          {[]byte(id), true, other, 20 * time.Minute, presence - 20*time.Minute, false},
				"passed on too late": {[]byte(id), true, other, presence, 0, true},
				"no presence":        {[]byte("key"), true, id, 0, max(age, 0), false},
			} {
				h := newHolder(t, Config{RecordAge: age})
				add := protocol.AddProvider{Key: tt.key, Providers: []protocol.Peer{{ID: id, Addrs: roomtest.Addrs(publicAddr)}}}
				if tt.sign {
					add.Proof = announce.Proof{Network: testProtocol, Key: tt.key, Published: time.Now()}.Sign(key)
				}
				time.Sleep(tt.after)
				if err := receiveAt(t, h, From{ID: tt.from, At: scope.Public}, add); (err != nil) != tt.fails {
					t.Errorf("%s: %v", name, err)
				}
				p, err := h.cfg.Store.Provider(t.Context(), tt.key, string(id), time.Now())
				if (err != nil) != tt.fails {
					t.Errorf("%s: held %v", name, err)
				} else if got := remaining(p.Expires, time.Now()).Round(time.Second); err == nil && got != tt.want {
					t.Errorf("%s, with a record age of %v: %v, want %v", name, age, got, tt.want)
				}
			}
		}
	})
}

// A certificate that cannot be checked, or may not be given to requesters, is not kept.
func TestBadCertificateIsNotKept(t *testing.T) {
	h := newHolder(t, Config{})
	key, id := roomtest.NewPeer(t)
	otherKey, other := roomtest.NewPeer(t)
	for name, certified := range map[string][]byte{
		"foreign": announce.Certify(otherKey, other, roomtest.Addrs(publicAddr), time.Now()),
		"forged":  announce.Certify(otherKey, id, roomtest.Addrs(publicAddr), time.Now()),
		"private": announce.Certify(key, id, roomtest.Addrs(publicAddr, privateAddr), time.Now()),
	} {
		p := protocol.Peer{ID: id, Addrs: roomtest.Addrs(publicAddr), Certified: certified}
		err := receiveAt(t, h, From{ID: id, At: scope.Public}, protocol.AddProvider{Key: []byte(id), Providers: []protocol.Peer{p}})
		got := providers(t, h, scope.Public, []byte(id))
		if err != nil || len(got) != 1 || got[0].Certified != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
