package network_test

import (
	"bufio"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// A puppet is a peer that speaks the protocol and answers as a test wants.
type puppet struct {
	*kadtest.Node

	mu     sync.Mutex
	answer func() (resp protocol.Response, ok bool) // not ok: the stream is reset
}

// puppets returns peers that name no other.
func puppets(n *kadtest.Network, count int) []*puppet {
	all := make([]*puppet, count)
	for i, d := range n.AddHosts(count) {
		p := &puppet{Node: d}
		p.names()
		d.Host.SetStreamHandler("/test/kad/1.0.0", p.serve)
		all[i] = p
	}
	return all
}

func (p *puppet) serve(s network.Stream) {
	msg, err := protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame)
	if err != nil {
		_ = s.Reset()
		return
	}
	req, err := protocol.ParseRequest(msg)
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	resp, ok := answer()
	if err != nil || !ok {
		_ = s.Reset()
		return
	}
	_, _ = s.Write(protocol.AppendResponseFrame(nil, req, resp))
	_ = s.Close()
}

// will changes how the puppet answers.
func (p *puppet) will(answer func() (protocol.Response, bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// names makes the puppet name some peers to each that asks.
func (p *puppet) names(closer ...peer.AddrInfo) {
	var resp protocol.Response
	for _, info := range closer {
		resp.Closer = append(resp.Closer, protocol.Peer{ID: info.ID, Addrs: info.Addrs})
	}
	p.will(func() (protocol.Response, bool) { return resp, true })
}

// resets makes the puppet reset each stream.
func (p *puppet) resets() { p.will(func() (resp protocol.Response, ok bool) { return resp, false }) }

// connect connects a node to puppets, and waits until it has them in its table.
func connect(t *testing.T, d *kadtest.Node, all ...*puppet) {
	t.Helper()
	for _, p := range all {
		if err := d.Host.Connect(t.Context(), p.Info()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second)
	for _, p := range all {
		if !knows(d, p.ID()) {
			t.Fatal("a puppet was not admitted")
		}
	}
}

// near is the latency of the networks of puppets.
const near = time.Millisecond

// puppetNet returns a node, and puppets that it knows.
func puppetNet(t *testing.T, count int) (*kadtest.Network, *kadtest.Node, []*puppet) {
	t.Helper()
	n := kadtest.New(t, kadtest.Config{Latency: near})
	all := puppets(n, count)
	d := n.Add(1, with(kad.Config{}))[0]
	connect(t, d, all...)
	return n, d, all
}

// A peer that is connected and never answers costs a lookup as much as is expected of it
// by what others take, not SlowAfter. It is never in a result, and leaves the table.
func TestSilentPeerCostsOnce(t *testing.T) { bubble(t, testSilentPeerCostsOnce) }

func testSilentPeerCostsOnce(t *testing.T) {
	n, d, all := puppetNet(t, 5)
	hung := all[0]
	n.Silence(hung.Node)
	asked := 0
	for i := range 10 {
		ctx, trace := kad.WithTrace(t.Context())
		var found []peer.AddrInfo
		var err error
		spent := took(func() { found, err = d.DHT.ClosestPeers(ctx, []byte{byte(i)}) })
		if spent > 70*time.Millisecond || err != nil {
			t.Errorf("a lookup took %v, want what the answers of others let expect; %v", spent, err)
		}
		if trace.Stats().Requests < len(all) {
			continue // what is remembered of an earlier one has spared the rest
		}
		asked++
		if len(found) != 4 || slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == hung.ID() }) {
			t.Errorf("%d peers, want the 4 that answer", len(found))
		}
	}
	if asked == 0 {
		t.Error("no lookup has asked the silent peer")
	}
	time.Sleep(15 * time.Second)
	if knows(d, hung.ID()) {
		t.Error("it is still in the table")
	}
}

// A silent peer that others keep naming costs a lookup as much as peers that have never
// answered are expected to take. When it answers, it is in the result at once: a peer in
// doubt is asked, not left out.
func TestSilentPeerThatOthersName(t *testing.T) { bubble(t, testSilentPeerThatOthersName) }

func testSilentPeerThatOthersName(t *testing.T) {
	n, d, all := puppetNet(t, 3)
	hung := puppets(n, 1)[0]
	n.Silence(hung.Node)
	for _, p := range all {
		p.names(hung.Info())
	}
	key := byte(0)
	lookup := func() (found int, spent time.Duration) {
		key++
		spent = took(func() {
			peers, err := d.DHT.ClosestPeers(t.Context(), []byte{key})
			if err != nil {
				t.Error(err)
			}
			found = len(peers)
		})
		return found, spent
	}
	for range 10 {
		if found, spent := lookup(); found != 3 || spent > 170*time.Millisecond {
			t.Errorf("%d peers after %v, want 3 after a dial and 50ms", found, spent)
		}
		time.Sleep(5 * time.Second)
	}
	n.Heal(hung.Node)
	if found, _ := lookup(); found != 4 {
		t.Errorf("%d peers, want the one that was silent too", found)
	}
}

// named returns a node that knows one puppet, which names two others: one that answers,
// and one that resets.
func named(t *testing.T) (d *kadtest.Node, near, far, broken *puppet) {
	t.Helper()
	n, d, all := puppetNet(t, 1)
	others := puppets(n, 2)
	others[1].resets()
	all[0].names(others[0].Info(), others[1].Info())
	return d, all[0], others[0], others[1]
}

// The events of a lookup name all of it: each peer is heard of, asked, and then has
// answered or failed, in this order.
func TestQueryEvents(t *testing.T) { bubble(t, testQueryEvents) }

func testQueryEvents(t *testing.T) {
	d, near, far, broken := named(t)
	ctx, cancel := context.WithCancel(t.Context())
	ctx, events := lrouting.RegisterForQueryEvents(ctx)
	var run []string
	heard := []peer.ID{near.ID()} // from the table
	name := map[peer.ID]string{near.ID(): "near", far.ID(): "far", broken.ID(): "broken"}
	var reading sync.WaitGroup
	reading.Go(func() {
		for e := range events {
			switch e.Type {
			case lrouting.SendingQuery:
				run = append(run, "ask "+name[e.ID])
				if !slices.Contains(heard, e.ID) {
					t.Errorf("%s was asked before it was heard of", name[e.ID])
				}
			case lrouting.PeerResponse:
				run = append(run, name[e.ID]+" answers")
				for _, p := range e.Responses {
					heard = append(heard, p.ID)
				}
			case lrouting.QueryError:
				run = append(run, name[e.ID]+" fails")
				if e.Extra == "" {
					t.Error("a failure without a reason")
				}
			default:
				t.Errorf("event %v", e.Type)
			}
		}
	})
	if _, err := d.DHT.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	cancel()
	reading.Wait()
	slices.Sort(run)
	want := []string{"ask broken", "ask far", "ask near", "broken fails", "far answers", "near answers"}
	if !slices.Equal(run, want) {
		t.Errorf("events %q, want %q", run, want)
	}
}

// A trace counts what the lookups of an operation cost.
func TestTrace(t *testing.T) { bubble(t, testTrace) }

func testTrace(t *testing.T) {
	d, _, _, _ := named(t)
	ctx, trace := kad.WithTrace(t.Context())
	if _, err := d.DHT.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if got := trace.Stats(); got.Lookups != 1 || got.Requests != 3 || got.Answered != 2 || got.Hops != 2 {
		t.Errorf("Stats() = %+v, want 1 lookup of 3 requests over 2 hops, 2 of them answered", got)
	}
}

// A liar that makes up peers without an address, the requester, and the same peer again
// and again, gets none of them asked.
func TestLiesAreNotAsked(t *testing.T) { bubble(t, testLiesAreNotAsked) }

func testLiesAreNotAsked(t *testing.T) {
	n, d, all := puppetNet(t, 1)
	closer := []peer.AddrInfo{d.Info()}
	far := puppets(n, 1)[0]
	for range 10 {
		closer = append(closer, far.Info())
	}
	for _, nowhere := range n.AddHosts(10) {
		closer = append(closer, peer.AddrInfo{ID: nowhere.ID()})
	}
	all[0].names(closer...)
	ctx, trace := kad.WithTrace(t.Context())
	if _, err := d.DHT.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if got := trace.Stats().Requests; got != 2 {
		t.Errorf("%d requests, want 2: the liar and the one peer that there is", got)
	}
}

// A peer that a liar names first, at an address where it is not, is asked where others say it is.
func TestMisplacedPeer(t *testing.T) { bubble(t, testMisplacedPeer) }

func testMisplacedPeer(t *testing.T) {
	n, d, all := puppetNet(t, 3)
	hidden := puppets(n, 1)[0]
	all[0].names(peer.AddrInfo{ID: hidden.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/9.9.9.9/tcp/1")}})
	for _, p := range all[1:] {
		p.will(func() (resp protocol.Response, ok bool) {
			time.Sleep(20 * time.Millisecond)
			resp.Closer = []protocol.Peer{{ID: hidden.ID(), Addrs: hidden.Info().Addrs}}
			return resp, true
		})
	}
	found, err := d.DHT.ClosestPeers(t.Context(), []byte("key"))
	if err != nil || !slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == hidden.ID() }) {
		t.Errorf("found %v, %v; want the peer that a liar named elsewhere", found, err)
	}
}

// A contact that refuses to answer its check, since it is busy, stays; a newcomer that
// does is neither admitted nor in doubt.
func TestBusyIsAlive(t *testing.T) { bubble(t, testBusyIsAlive) }

func testBusyIsAlive(t *testing.T) {
	n, d, all := puppetNet(t, 2)
	busy := all[0]
	busy.resets()
	time.Sleep(time.Hour) // several checks
	if !knows(d, busy.ID()) {
		t.Error("a contact that was busy is gone")
	}

	newcomer := puppets(n, 1)[0]
	newcomer.resets()
	if err := newcomer.Host.Connect(t.Context(), d.Info()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if knows(d, newcomer.ID()) {
		t.Error("a peer that refused its probe is in the table")
	}
	newcomer.names()
	prober{newcomer.Node}.ask(t, d, protocol.FindNode{Target: []byte("target")})
	time.Sleep(time.Second)
	if !knows(d, newcomer.ID()) {
		t.Error("a peer that was busy once is not introduced when it asks again")
	}
}
