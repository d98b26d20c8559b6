package host

import (
	"bufio"
	"sync"
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A reaction is what a puppet does about a request. If it returns without an
// end of the stream, the asker waits.
type reaction func(s network.Stream, req protocol.Request)

// silent never answers.
func silent(network.Stream, protocol.Request) {}

// resets ends the stream without a reason.
func resets(s network.Stream, _ protocol.Request) { _ = s.Reset() }

// says answers every request in the same way.
func says(resp protocol.Response) reaction {
	return func(s network.Stream, req protocol.Request) {
		if _, ok := req.(protocol.AddProvider); !ok {
			_, _ = s.Write(protocol.AppendResponseFrame(nil, req, resp))
		}
		_ = s.Close()
	}
}

// names answers every request with hosts as closer peers.
func names(hosts ...lhost.Host) reaction {
	var resp protocol.Response
	for _, h := range hosts {
		resp.Closer = append(resp.Closer, protocol.Peer{ID: h.ID(), Addrs: h.Addrs()})
	}
	return says(resp)
}

// A puppet is a peer that speaks the protocol and does as it is told.
type puppet struct {
	lhost.Host

	mu    sync.Mutex
	react reaction
	asked []protocol.Request
}

// puppet returns a puppet on a new host.
func (n *testNet) puppet(react reaction) *puppet {
	n.t.Helper()
	return puppetOn(n.host(), react)
}

// puppetAt returns a puppet whose key shares exactly cpl bits with that of d.
func (n *testNet) puppetAt(d *DHT, cpl int, react reaction) *puppet {
	n.t.Helper()
	self := routing.KeyOf([]byte(d.ID()))
	return puppetOn(n.hostAt(func(k routing.Key) bool { return self.CPL(k) == cpl }), react)
}

func puppetOn(h lhost.Host, react reaction) *puppet {
	p := &puppet{Host: h, react: react}
	p.SetStreamHandler(testProtocol, p.serve)
	return p
}

func (p *puppet) serve(s network.Stream) {
	msg, err := protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame)
	if err != nil {
		_ = s.Reset()
		return
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		_ = s.Reset()
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req)
	react := p.react
	p.mu.Unlock()
	react(s, req)
}

// will changes what the puppet does.
func (p *puppet) will(react reaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.react = react
}

// requests returns what the puppet was asked since the last call.
func (p *puppet) requests() []protocol.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

// lookups returns the targets that the puppet was asked for since the last call, without
// probes, and without lookups of the ID of the asker.
func (p *puppet) lookups(asker *DHT) (targets [][]byte) {
	for _, req := range p.requests() {
		if find, ok := req.(protocol.FindNode); ok && string(find.Target) != string(asker.ID()) {
			targets = append(targets, find.Target)
		}
	}
	return targets
}

// meet connects a node to puppets, and waits until it has them in its table.
func meet(t *testing.T, d *DHT, puppets ...*puppet) {
	t.Helper()
	for _, p := range puppets {
		dialHost(t, d.host, p.Host)
	}
	time.Sleep(time.Second)
	for i, p := range puppets {
		if !knows(d, p) {
			t.Fatalf("puppet %d of %d was not admitted", i, len(puppets))
		}
		p.requests()
	}
}
