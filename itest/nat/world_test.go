//go:build linux

package nat

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A world is a network that has come to rest, and who is about to come to it.
type world struct {
	*Lab

	public []*node // those that offer to relay first, then plain ones
	relays int     // how many offer to relay

	tcpAlone bool // what joins has an address over TCP
}

// plainNodes is how many nodes with public addresses do not relay.
const plainNodes = 5

// newWorld makes a network in a lab with a host behind a NAT of each flavour, in which
// some nodes offer to relay. One more machine is there, with a public address and no part in it.
func newWorld(t *testing.T, relays int, behind ...Flavour) *world {
	t.Helper()
	l := up(t, Plan{Public: relays + plainNodes + 1, Behind: behind, Latency: oneWay})
	requireTraversal(t, "node")
	return settle(t, l, relays)
}

// settle starts nodes on all public machines of a lab but the last, and waits
// until each knows all others. The relays have more arguments.
func settle(t *testing.T, l *Lab, relays int, more ...string) *world {
	t.Helper()
	w := &world{Lab: l, relays: relays}
	for i, m := range l.Public[:len(l.Public)-1] {
		var args []string
		if i < relays {
			args = append(args, append(more, "--offer-relay")...)
		}
		if i > 0 {
			args = append(args, "--join", w.public[0].addr(t))
		}
		w.public = append(w.public, start(t, m, args...))
	}
	for _, n := range w.public {
		eventually(t, "every public node knows the others", func(ctx context.Context) bool {
			return n.contacts(ctx) == len(w.public)-1
		})
	}
	return w
}

// outsider starts a node that has never met one of the network, so that what it
// connects to is reached by the address that it is given.
func (w *world) outsider(t *testing.T) *node {
	t.Helper()
	return start(t, w.Public[len(w.Public)-1], "--network", "/elsewhere")
}

// join is what a node or a chat joins with: one plain node.
func (w *world) join(t *testing.T) []string {
	t.Helper()
	of := w.public[w.relays]
	if w.tcpAlone {
		for _, addr := range of.Addrs {
			if strings.Contains(addr, of.machine.Addr.String()+"/tcp/") {
				return []string{"--join", addr}
			}
		}
	}
	return []string{"--join", of.addr(t)}
}

// begin starts a node on one of the hosts.
func (w *world) begin(t *testing.T, host int, args ...string) *node {
	t.Helper()
	return start(t, w.Hosts[host], append(w.join(t), args...)...)
}

// requireTraversal skips the test if a program knows nothing of relays.
func requireTraversal(t *testing.T, program string) {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.CommandContext(t.Context(), filepath.Join(dir, program), "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(help, []byte("relay")) {
		t.Skipf("nat: examples/%s does not traverse NATs", program)
	}
}

// eventually waits until a condition holds. It asks again and again, because the
// API of a node is asked, and does not tell.
func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), worst)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not after %v: %s", worst, what)
		}
	}
}

// worst is how long what is measured may take.
const worst = 90 * time.Second

// relays returns which relays the addresses go through.
func relays(addrs []string) (ids []string) {
	for _, addr := range addrs {
		before, _, ok := strings.Cut(addr, "/p2p-circuit")
		if !ok {
			continue
		}
		if id := before[strings.LastIndex(before, "/")+1:]; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
