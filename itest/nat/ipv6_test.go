//go:build linux

package nat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/need"
)

// goalIPv6 is how soon two nodes are to be connected directly over IPv6.
const goalIPv6 = 3 * time.Second

// An overIPv6 is what two nodes and two chats that have IPv6 alone came to.
type overIPv6 struct {
	via                string        // how the nodes are connected
	took               time.Duration // since Connect was called
	met, heard, direct time.Duration // of the chats, since their start
}

// nodesDirect reports whether the nodes are connected directly.
func (o overIPv6) nodesDirect() bool { return o.via == "punched" || o.via == "direct" }

// meetOverIPv6 has two nodes and two chats meet on machines that have IPv6 alone, and whose
// firewalls let nothing in.
func meetOverIPv6(t *testing.T) (got overIPv6) {
	t.Helper()
	l := up(t, Plan{})
	requireTraversal(t, "node")
	machine := func(firewall bool) *Machine {
		m, err := l.Public6(firewall)
		if errors.Is(err, fs.ErrNotExist) {
			need.Missing(t, "nat", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	relay := start(t, machine(false), "--offer-relay")
	public := []*node{relay}
	for range 2 {
		public = append(public, start(t, machine(false), "--join", relay.addr(t)))
	}
	for _, n := range public {
		eventually(t, "every public node knows the others", func(ctx context.Context) bool { return n.contacts(ctx) == len(public)-1 })
	}
	join := []string{"--join", public[1].addr(t)}
	a, b := start(t, machine(true), join...), start(t, machine(true), join...)
	eventually(t, "A finds B at a relay", func(ctx context.Context) bool {
		addrs, err := a.find(ctx, b.ID)
		return err == nil && len(relays(addrs)) > 0
	})
	began := time.Now()
	c, err := a.connect(t.Context(), b.ID, 20*time.Second)
	got.via, got.took = c.Via, time.Since(began)
	t.Logf("%s after %v: %+v, %v", got.via, got.took, c.Steps, err)
	ann, bob := chatAt(t, machine(true), "ann", join...), chatAt(t, machine(true), "bob", join...)
	ann.say(t, "can you hear me")
	bob.say(t, "loud and clear")
	got.heard = max(bob.hears(t, "ann: can you hear me"), ann.hears(t, "bob: loud and clear"))
	got.met = min(ann.hears(t, "somebody came"), bob.hears(t, "somebody came"))
	got.direct = max(ann.hearsWithin(t, "directly", 30*time.Second), bob.hearsWithin(t, "directly", 30*time.Second))
	t.Logf("chat: met after %v, heard after %v, direct after %v:\n%s", got.met, got.heard, got.direct, ann.transcript())
	return got
}

// Two nodes that have IPv6 alone, and whose firewalls let nothing in, are connected directly
// with the default flags.
func TestIPv6Only(t *testing.T) {
	got := meetOverIPv6(t)
	if !got.nodesDirect() || got.took > goalIPv6 {
		t.Errorf("connected: %q after %v; want it directly within %v", got.via, got.took, goalIPv6)
	}
	if got.direct-got.met > goalIPv6 {
		t.Errorf("the chats are connected directly %v after they have met, want at most %v", got.direct-got.met, goalIPv6)
	}
	record(11, "IPv6 alone", fmt.Sprintf(
		"A and B have an address of IPv6 each, no other one, and a firewall that lets nothing in. Without a flag about it, A is connected to B, %s,\n"+
			"after %s. Packets are not delayed. Two chats on such machines have met %s after their start, have heard each other after %s, and\n"+
			"are connected directly after %s.\n", got.via, seconds(got.took), seconds(got.met), seconds(got.heard), seconds(got.direct)))
}
