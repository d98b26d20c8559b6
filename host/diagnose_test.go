package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// diagnose returns the diagnosis of a node.
func diagnose(t *testing.T, d *DHT) Diagnosis {
	t.Helper()
	g, err := d.Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// advises fails unless there is exactly as much advice as there are texts, and each
// mentions its one.
func advises(t *testing.T, g Diagnosis, texts ...string) {
	t.Helper()
	if len(g.Advice) != len(texts) {
		t.Errorf("advice %q, want %q", g.Advice, texts)
		return
	}
	for i, text := range texts {
		mentions(t, g.Advice[i], text)
	}
}

// On a private network, the closest peers tell of a server, and there is nothing to
// improve. Of a client they do when it has announced itself under its ID, and not once
// it has another address.
func TestDiagnoseAsks(t *testing.T) { synctest.Test(t, testDiagnoseAsks) }

func testDiagnoseAsks(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(8, Config{})
	g := diagnose(t, nodes[3])
	if g.Asked != maxAskedOfUs || g.Told != maxAskedOfUs || g.Mode != ModeServer || len(g.Addrs) == 0 {
		t.Errorf("server: %+v", g)
		for i, d := range nodes {
			t.Logf("node %d has it: %v, and is connected to it: %v", i, d.table.Has(nodes[3].ID()), d.table.Connected(nodes[3].ID()))
			resp, err := nodes[3].call.Request(t.Context(), nil, routing.ContactOf(d.ID()), protocol.FindNode{Target: []byte(nodes[3].ID())}, nil)
			t.Logf("... and answers %+v, %v", resp, err)
		}
	}
	advises(t, g)

	client := n.node(Config{Mode: ModeClient, DisablePresence: true, Bootstrap: []peer.AddrInfo{info(nodes[0].host)}})
	time.Sleep(5 * time.Second)
	if g := diagnose(t, client); g.Asked != maxAskedOfUs || g.Told != 0 {
		t.Errorf("client that is not announced: %d of %d", g.Told, g.Asked)
	}
	if _, err := client.publish.Announce(t.Context(), time.Now(), []byte(client.ID()), time.Hour); err != nil {
		t.Fatal(err)
	}
	g = diagnose(t, client)
	if g.Asked != maxAskedOfUs || g.Told != maxAskedOfUs {
		t.Errorf("client that is announced: %d of %d", g.Told, g.Asked)
	}
	if has(protocol.Response{Closer: []protocol.Peer{{ID: client.ID(), Addrs: client.host.Addrs()}}}, client.ID(), []multiaddr.Multiaddr{multiaddr.StringCast(aPublic)}) {
		t.Error("an address that is not announced counts")
	}
}

// A node without contacts says why it has none, and what to do.
func TestDiagnoseAlone(t *testing.T) { synctest.Test(t, testDiagnoseAlone) }

func testDiagnoseAlone(t *testing.T) {
	d := newTestNet(t).node(Config{})
	g := diagnose(t, d)
	var notReady *NotReadyError
	if !errors.As(g.NotReady, &notReady) || g.Asked != 0 {
		t.Errorf("alone: %+v", g)
	}
	advises(t, g, "Join the network")
	mentions(t, g.String(), "no bootstrap peers")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Diagnose(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// The diagnosis of a host that cannot be dialled says what is wrong, and where that is
// known from.
func TestDiagnoseHidden(t *testing.T) { synctest.Test(t, testDiagnoseHidden) }

func testDiagnoseHidden(t *testing.T) {
	n := newTestNet(t)
	far := n.attach(n.hostOn("/ip4/1.1.1.1/tcp/1", func(routing.Key) bool { return true }), Config{})
	d := n.node(Config{Bootstrap: []peer.AddrInfo{info(far.host)}})
	time.Sleep(5 * time.Second)
	g := diagnose(t, d)
	if g.Reachability != network.ReachabilityUnknown || g.Mode != ModeClient {
		t.Errorf("%v, %v", g.Reachability, g.Mode)
	}
	lacks := func() (texts []string) { // without the first letters, which are capital here
		for _, text := range CheckTraversal(d.host) {
			texts = append(texts, text[1:]+".")
		}
		return texts
	}
	advises(t, g, slices.Concat([]string{"forward a port", "AutoRelay does not ask"}, lacks(), []string{"None of the closest"})...)

	d.RelaySource(t.Context(), 1)
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPrivate})
	emit(t, d, event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportTCP, NatDeviceType: network.NATDeviceTypeEndpointDependent})
	emit(t, d, event.EvtNATDeviceTypeChanged{TransportProtocol: network.NATTransportUDP, NatDeviceType: network.NATDeviceTypeEndpointIndependent})
	d.host.SetStreamHandler(holepunch.Protocol, func(network.Stream) {})
	g = diagnose(t, d)
	if g.Reachability != network.ReachabilityPrivate || g.NAT != network.NATDeviceTypeEndpointDependent {
		t.Errorf("%v, %v", g.Reachability, g.NAT)
	}
	advises(t, g, slices.Concat([]string{"forward a port", "No relay was found"}, lacks(), []string{"another port for each peer", "None of the closest"})...)
	if len(lacks()) == 0 || strings.ToUpper(g.Advice[2][:1]) != g.Advice[2][:1] {
		t.Errorf("%q is no sentence", g.Advice[2])
	}
	for _, text := range []string{"private (the host says so", "client: the network is public", "endpoint dependent", "filtering:    dialled peers only", "relays:       none", "0 of 1", "advice:"} {
		if !strings.Contains(g.String(), text) {
			t.Errorf("%q is missing in\n%s", text, g)
		}
	}

	// What keeps QUIC from the bootstrap peers is said first, and nothing in its place.
	g.SmallMTU, g.NotReady = true, ErrNoContacts
	list := strings.Join(advice(d, g), "\n")
	if !strings.HasPrefix(list, adviceMTU) || strings.Contains(list, adviceUnjoined) || strings.Contains(list, adviceNoRelay) || strings.Count(list, adviceMTU) != 1 {
		t.Errorf("with a small MTU it advises\n%s", list)
	}

	emit(t, d, event.EvtAutoRelayAddrsUpdated{RelayAddrs: []multiaddr.Multiaddr{multiaddr.StringCast(aPublic + "/p2p/" + aRelay + "/p2p-circuit")}})
	g = diagnose(t, d)
	if held := d.relay.Held(); len(held) != 1 || len(g.Relays) != 0 {
		t.Errorf("relays %v, %v of which answer; want one, which does not", held, g.Relays)
	}
	emit(t, d, event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	time.Sleep(2 * minSettle)
	if g := diagnose(t, d); g.Reachability != network.ReachabilityPublic || len(g.Advice) > 1 {
		t.Errorf("reachable: %+v", g)
	}
}
