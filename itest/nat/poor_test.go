//go:build linux

package nat

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-netroute"
)

// A poor path is one over which two nodes meet slowly.
type poorPath struct {
	name    string
	latency time.Duration // one way
	goal    time.Duration // until there is a connection
	tcp     bool          // they join over TCP alone
	spoil   func(*world) error
}

func poorPaths() []poorPath {
	return []poorPath{
		{"a round trip of 300 ms, 20 % of the packets are lost each way", 150 * time.Millisecond, 8 * time.Second, false, func(w *world) error {
			w.Lose(0.2)
			return nil
		}},
		{"a path MTU of 1 280 for one of both, they join over TCP", oneWay, 10 * time.Second, true, func(w *world) error { return w.Narrow(0, 1280) }},
		{"a path MTU of 1 280 for both, they join over TCP", oneWay, 10 * time.Second, true, func(w *world) error {
			if err := w.Narrow(0, 1280); err != nil {
				return err
			}
			return w.Narrow(1, 1280)
		}},
	}
}

// Two nodes behind common NATs meet over paths that are poor. It takes minutes, and runs with
// KAD_NAT_RESULTS alone.
func TestPoorPaths(t *testing.T) {
	if os.Getenv("KAD_NAT_RESULTS") == "" {
		t.Skip("nat: KAD_NAT_RESULTS is not set")
	}
	var mu sync.Mutex
	met := make(map[string]meeting)
	t.Cleanup(func() { record(13, "Poor paths", describePoor(met)) })
	for _, p := range poorPaths() {
		t.Run(p.name, func(t *testing.T) {
			m := p.meet(t)
			t.Logf("%v: %s", m, describeSteps(m.steps))
			mu.Lock()
			defer mu.Unlock()
			met[p.name] = m
		})
	}
}

// meet has two nodes meet over the path.
func (p poorPath) meet(t *testing.T) meeting {
	t.Helper()
	w := settle(t, up(t, Plan{Public: 1 + plainNodes + 1, Behind: []Flavour{Cone, Cone}, Latency: p.latency}), 1)
	if err := p.spoil(w); err != nil {
		t.Fatal(err)
	}
	w.tcpAlone = p.tcp
	return meet(t, w, directWait)
}

// describePoor returns the table of results.
func describePoor(met map[string]meeting) string {
	var b strings.Builder
	fmt.Fprintf(&b, `A connects to B, behind a NAT (%s) each, as in the table of pairs. **Bold** is what misses the goal for a connection.

| path | goal | |
|---|---|---|
`, Cone)
	for _, p := range poorPaths() {
		m, ok := met[p.name]
		if !ok {
			continue
		}
		text := m.String()
		if m.first > p.goal {
			text = "**" + text + "**"
		}
		fmt.Fprintf(&b, "| %s | %v | %s |\n", p.name, p.goal, text)
	}
	return b.String()
}

// go-libp2p v0.52.0 never asks a router over NAT-PMP on Linux: it looks for the gateway as the
// route to 0.0.0.0, which go-netroute refuses. The route to any address on the internet has it.
// When this test fails, NAT-PMP works again: say so in examples/guides/nat.md.
func TestGatewayIsNotFound(t *testing.T) {
	l := up(t, Plan{Behind: []Flavour{Cone}})
	gateway := func(to net.IP) (at net.IP, err error) {
		err = l.Hosts[0].ns.do(func() error {
			router, err := netroute.New()
			if err != nil {
				return err
			}
			_, at, _, err = router.Route(to)
			return err
		})
		return at, err
	}
	if at, err := gateway(net.IPv4zero); err == nil {
		t.Errorf("the route to 0.0.0.0 has the gateway %v", at)
	}
	if at, err := gateway(net.IPv4(1, 1, 1, 1)); err != nil || at == nil {
		t.Errorf("the route to 1.1.1.1 has the gateway %v, %v", at, err)
	}
}
