package interop_test

import (
	"slices"
	"testing"
	"time"

	lnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// Servers of the other implementation alone carry the presence of a client of ours:
// another client finds its addresses by its ID. They are those of the presence, since
// the servers are not connected to it any more.
func TestPresenceWithTheirServers(t *testing.T) {
	const servers = 8
	var all []node
	var infos []peer.AddrInfo
	for i := range servers {
		s := start(t, theirs, setup{identity: uint64(100 + i)})
		all = append(all, s)
		infos = append(infos, infoOf(s))
	}
	for i, s := range all {
		for _, other := range infos[:i] {
			if err := s.Host().Connect(patient(t), other); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range all {
		if err := s.refresh(patient(t)); err != nil {
			t.Fatal(err)
		}
	}

	for _, s := range all {
		for _, other := range infos {
			if other.ID != s.Host().ID() {
				if err := s.admitted(patient(t), other.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}

	hidden := start(t, ours, setup{client: true, bootstrap: infos[:2]})
	id := hidden.Host().ID()
	key := []byte(id)
	held := func() (n int) {
		for _, s := range all {
			providers, err := s.(*theirNode).ProviderStore().GetProviders(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(providers, func(p peer.AddrInfo) bool { return p.ID == id }) {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(30 * time.Second); held() < servers; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d servers hold the presence", held(), servers)
		}
	}
	for _, s := range all { // what they know from connections is no presence
		if err := s.Host().Network().ClosePeer(id); err != nil {
			t.Fatal(err)
		}
	}

	finder := start(t, ours, setup{client: true, bootstrap: infos[servers-2:]}).(*ourNode)
	found, err := finder.Locate(patient(t), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range hidden.Host().Addrs() {
		if !slices.ContainsFunc(found.Addrs, func(a kad.LocatedAddr) bool { return a.Addr.Equal(addr) && a.Source == kad.SourcePresence }) {
			t.Errorf("found %v, want %v from a presence", found.Addrs, addr)
		}
	}
	conn, err := finder.Connect(patient(t), id)
	if err != nil || conn.Via != kad.ViaDirect || finder.Host().Network().Connectedness(id) != lnetwork.Connected {
		t.Errorf("Connect() = %+v, %v", conn, err)
	}
}
