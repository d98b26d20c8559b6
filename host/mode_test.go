package host

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// emit sends an event of the host.
func emit[E any](t *testing.T, d *DHT, e E) {
	t.Helper()
	em, err := d.host.EventBus().Emitter(new(E))
	if err != nil {
		t.Fatal(err)
	}
	if err := em.Emit(e); err != nil {
		t.Fatal(err)
	}
	if err := em.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// When the host finds out whether it is reachable, the node of a public network
// switches its mode.
func TestReachability(t *testing.T) { synctest.Test(t, testReachability) }

func testReachability(t *testing.T) {
	boot := peer.AddrInfo{ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(aPublic)}}
	d := newTestNet(t).node(Config{Bootstrap: []peer.AddrInfo{boot}})
	want := func(want Mode, reason string) {
		t.Helper()
		got, why := d.Mode()
		if got != want || d.Stats().Server != (want == ModeServer) {
			t.Errorf("mode %v (%s), want %v", got, why, want)
		}
		mentions(t, why, reason)
	}
	want(ModeClient, "not known yet")
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	want(ModeServer, "publicly reachable")
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	time.Sleep(minSettle)
	synctest.Wait()
	want(ModeClient, "not publicly reachable")
	emit(t, d, event.EvtHostReachableAddrsChanged{Reachable: boot.Addrs})
	time.Sleep(2 * minSettle)
	synctest.Wait()
	want(ModeServer, "publicly reachable")
	emit(t, d, event.EvtHostReachableAddrsChanged{Unreachable: boot.Addrs})
	time.Sleep(4 * minSettle)
	synctest.Wait()
	want(ModeClient, "not publicly reachable")
	if err := d.SetMode(ModeServer); err != nil {
		t.Fatal(err)
	}
	want(ModeServer, "set to server")
	if err := d.SetMode(ModeAuto); err != nil {
		t.Fatal(err)
	}
	want(ModeClient, "not publicly reachable")
	if err := d.SetMode(ModeServer + 1); !errors.Is(err, errUnknownMode) {
		t.Errorf("SetMode() = %v of a mode that there is not", err)
	}
}

// A host that finds itself reachable and unreachable by turns keeps its mode: only
// what lasts counts, and the longer, the more often that has changed.
func TestFlapping(t *testing.T) { synctest.Test(t, testFlapping) }

func testFlapping(t *testing.T) {
	boot := peer.AddrInfo{ID: aPeer, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(aPublic)}}
	d := newTestNet(t).node(Config{Bootstrap: []peer.AddrInfo{boot}})
	find := func(r network.Reachability) {
		emit(t, d, event.EvtLocalReachabilityChanged{Reachability: r})
	}
	find(network.ReachabilityPublic)
	switches := func() int {
		before, count := ModeServer, 0
		for range 60 {
			for _, r := range []network.Reachability{network.ReachabilityPrivate, network.ReachabilityPublic} {
				find(r)
				time.Sleep(minSettle - time.Second)
				if now, _ := d.Mode(); now != before {
					before = now
					count++
				}
			}
		}
		return count
	}
	if n := switches(); n != 0 {
		t.Errorf("it switched %d times, want never: nothing has lasted", n)
	}
	find(network.ReachabilityPrivate)
	if mode, reason := d.Mode(); mode != ModeServer {
		t.Errorf("mode %v (%s) at once, want server", mode, reason)
	} else {
		mentions(t, reason, "lately it seems otherwise")
	}
	for i, want := range []time.Duration{minSettle, 2 * minSettle, 4 * minSettle, 8 * minSettle, 16 * minSettle, maxSettle, maxSettle} {
		before, _ := d.Mode()
		time.Sleep(want - time.Second)
		if mode, _ := d.Mode(); mode != before {
			t.Errorf("switch %d: it came before %v", i, want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if mode, _ := d.Mode(); mode == before {
			t.Errorf("switch %d: it did not come after %v", i, want)
		}
		if before == ModeServer {
			find(network.ReachabilityPublic)
		} else {
			find(network.ReachabilityPrivate)
		}
	}
	time.Sleep(calmAfter + time.Hour)
	before, _ := d.Mode()
	find(network.ReachabilityPublic)
	if before == ModeServer {
		find(network.ReachabilityPrivate)
	}
	time.Sleep(minSettle)
	synctest.Wait()
	if mode, reason := d.Mode(); mode == before {
		t.Errorf("mode %v (%s) after a calm, want the other one: what was long ago does not count", mode, reason)
	}
}

// A node of a network that turns out to be public stops to serve until the host
// knows that it is reachable, or listens on a public address.
func TestPublicPeer(t *testing.T) { synctest.Test(t, testPublicPeer) }

func testPublicPeer(t *testing.T) {
	n := newTestNet(t)
	far := puppetOn(n.hostOn("/ip4/1.1.1.1/tcp/1", func(routing.Key) bool { return true }), says(protocol.Response{}))
	d := n.node(Config{})
	if mode, why := d.Mode(); mode != ModeServer {
		t.Fatalf("mode %v: %s", mode, why)
	}
	dialHost(t, d.host, far)
	time.Sleep(time.Second)
	if mode, why := d.Mode(); mode != ModeClient {
		t.Errorf("mode %v (%s), want client", mode, why)
	}
	if err := d.host.Network().Listen(multiaddr.StringCast(aPublic)); err != nil {
		t.Fatal(err)
	}
	emit(t, d, event.EvtLocalAddressesUpdated{})
	if mode, why := d.Mode(); mode != ModeServer {
		t.Errorf("mode %v (%s), want server", mode, why)
	}
}

// Nodes that connect on a private network serve each other, whatever the host
// believes of its reachability.
func TestPrivateNetworkServes(t *testing.T) { synctest.Test(t, testPrivateNetworkServes) }

func testPrivateNetworkServes(t *testing.T) {
	n := newTestNet(t)
	a, b := n.node(Config{}), n.node(Config{})
	for _, d := range []*DHT{a, b} {
		emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	}
	link(t, a, b)
	time.Sleep(time.Second)
	if !knows(a, b.host) || !knows(b, a.host) {
		t.Error("they do not know each other")
	}
}

// A node that stops serving is dropped by its peers, and comes back when it
// serves again. Streams that it served end with that.
func TestSetMode(t *testing.T) { synctest.Test(t, testSetMode) }

func testSetMode(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(4, Config{})
	d := nodes[2]
	known := func() (count int) {
		time.Sleep(time.Second)
		for _, other := range nodes {
			if other != d && knows(other, d.host) {
				count++
			}
		}
		return count
	}
	if got := known(); got != 3 {
		t.Fatalf("%d peers know it, want 3", got)
	}
	s := dialIn(d, aPeer)
	_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
	synctest.Wait()

	if err := d.SetMode(ModeClient); err != nil {
		t.Fatal(err)
	}
	if got := known(); got != 0 {
		t.Errorf("%d peers know it, want none: it does not serve", got)
	}
	if got := d.Stats().InboundStreams; got != 0 {
		t.Errorf("%d streams are served", got)
	}
	if _, err := io.ReadAll(s); err == nil {
		t.Error("a stream ended well, want a reset")
	}
	if _, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil {
		t.Errorf("a client cannot look up: %v", err)
	}
	if err := d.SetMode(ModeServer); err != nil {
		t.Fatal(err)
	}
	if got := known(); got != 3 {
		t.Errorf("%d peers know it, want 3: it serves again", got)
	}
}

// A client is in no table, and can do everything.
func TestClient(t *testing.T) { synctest.Test(t, testClient) }

func testClient(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(4, Config{})
	client := n.node(Config{Mode: ModeClient, Bootstrap: []peer.AddrInfo{info(nodes[0].host)}})
	time.Sleep(5 * time.Second)
	if got := client.table.Stats().Contacts; got != 4 {
		t.Errorf("the client knows %d nodes, want 4", got)
	}
	if err := client.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Error(err)
	}
	if err := client.Provide(t.Context(), testCID("content"), true); err != nil {
		t.Error(err)
	}
	if got := providers(t, nodes[3], testCID("content"), 0); len(got) != 1 || got[0].ID != client.ID() {
		t.Errorf("found %v, want the client", got)
	}
	time.Sleep(time.Hour)
	for i, d := range nodes {
		if knows(d, client.host) {
			t.Errorf("node %d has the client in its table", i)
		}
	}
	if _, err := ask(t, nodes[0].host, client, protocol.Ping{}); err == nil {
		t.Error("the client answered")
	}
}

// The modes have names.
func TestModeString(t *testing.T) {
	for mode, want := range map[Mode]string{ModeAuto: "auto", ModeClient: "client", ModeServer: "server"} {
		if mode.String() != want {
			t.Errorf("%d is %q, want %q", mode, mode, want)
		}
	}
}
