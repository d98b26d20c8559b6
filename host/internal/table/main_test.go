package table

import (
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

const (
	testK        = 4
	testProtocol = lprotocol.ID("/test/kad/1.0.0")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fixture is a table, and the network of its node.
type fixture struct {
	*Table
	net   *calltest.Network
	host  lhost.Host
	group *tasks.Group
	wakes *int
}

// newTable returns a table without contacts. The fields of cfg that are zero get values
// for tests; networks are not bounded unless MaxPerGroup is set.
func newTable(t testing.TB, cfg Config) *fixture {
	t.Helper()
	net := calltest.New(t)
	f := &fixture{net: net, host: net.Host(), group: roomtest.NewGroup(t), wakes: new(int)}
	if cfg.Host == nil {
		cfg.Host = f.host
	}
	if cfg.K == 0 {
		cfg.K = testK
	}
	if cfg.MaxPerGroup == 0 {
		cfg.MaxPerGroup = -1
	}
	cfg.Protocol, cfg.Tasks, cfg.SlowAfter, cfg.ProbeAfter = testProtocol, f.group, time.Second, 10*time.Minute
	cfg.Wake = func() { *f.wakes++ }
	f.Table = New(cfg)
	return f
}

// speak has peers speak some protocols, as far as the host knows.
func (f *fixture) speak(t testing.TB, id peer.ID, ids ...lprotocol.ID) {
	t.Helper()
	if err := f.host.Peerstore().SetProtocols(id, ids...); err != nil {
		t.Fatal(err)
	}
}

// at gives the host the address of a peer.
func (f *fixture) at(id peer.ID) {
	f.host.Peerstore().AddAddr(id, calltest.Addr(id), peerstore.PermanentAddrTTL)
}

// answer has peers answer a request, which takes them into the table.
func (f *fixture) answer(ids ...peer.ID) {
	for _, id := range ids {
		f.Heard(routing.ContactOf(id), Answered, 0)
	}
}

// miss has peers not answer a request.
func (f *fixture) miss(ids ...peer.ID) {
	for _, id := range ids {
		f.Heard(routing.ContactOf(id), Silent, 0)
	}
}

// doubtful reports whether a peer is in doubt when another one names it.
func (f *fixture) doubtful(id peer.ID) bool {
	named := []routing.Contact{routing.ContactOf(id)}
	f.Expect(named)
	return named[0].Doubtful
}

// isDue reports whether a contact is to be checked now. It takes the check.
func (f *fixture) isDue(id peer.ID) bool {
	check, _ := f.Due(time.Now(), routing.MaxChecks)
	for _, c := range check {
		if c.ID == id {
			return true
		}
	}
	return false
}

// peers returns the IDs of n peers.
func peers(n int) (ids []peer.ID) {
	for i := range n {
		ids = append(ids, calltest.ID(i+1))
	}
	return ids
}

// idsOf returns the IDs of contacts.
func idsOf(contacts []routing.Contact) (ids []peer.ID) {
	for _, c := range contacts {
		ids = append(ids, c.ID)
	}
	return ids
}

// A limitedHost has connections that go through a relay, which limits them.
type limitedHost struct{ lhost.Host }

func (h limitedHost) Network() network.Network { return limitedNetwork{h.Host.Network()} }

type limitedNetwork struct{ network.Network }

func (n limitedNetwork) ConnsToPeer(id peer.ID) (conns []network.Conn) {
	for _, c := range n.Network.ConnsToPeer(id) {
		conns = append(conns, limitedConn{c})
	}
	return conns
}

type limitedConn struct{ network.Conn }

func (limitedConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Limited: true}}
}

// addrsOf returns the addresses with which a contact is given to other peers.
func addrsOf(c routing.Held) []multiaddr.Multiaddr {
	p, _ := announce.Wire(c.Wire).Peer()
	return p.Addrs
}
