//go:build linux

package nat

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// goalHome is how soon two chats in one home are connected directly after they have met.
const goalHome = 2 * time.Second

// A home is a network whose router lets nothing back in that comes from inside.
type home struct {
	name  string
	spoil func(*Machine) error
}

func homes() []home {
	return []home{
		{"as in most homes", nil},
		{"the network drops multicast", (*Machine).DropMulticast},
	}
}

// A housemates is when two chats in one home had met, had heard each other, and were connected
// directly, counted from their start.
type housemates struct{ met, heard, direct time.Duration }

// meet has two chats start in the home at the same time.
func (h home) meet(t *testing.T) housemates {
	t.Helper()
	w := newWorld(t, 1, Cone)
	requireTraversal(t, "chat")
	if _, err := w.Beside(0); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.Hosts {
		if h.spoil == nil {
			break
		}
		if err := h.spoil(m); err != nil {
			t.Fatal(err)
		}
	}
	ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
	ann.say(t, "can you hear me")
	bob.say(t, "loud and clear")
	heard := max(bob.hears(t, "ann: can you hear me"), ann.hears(t, "bob: loud and clear"))
	direct := max(ann.hearsWithin(t, "directly", 30*time.Second), bob.hearsWithin(t, "directly", 30*time.Second))
	met := min(ann.hears(t, "somebody came"), bob.hears(t, "somebody came")) // through a relay, where there is no multicast
	if text := ann.transcript() + bob.transcript(); strings.Contains(text, "punched") {
		t.Errorf("they are not connected at their local addresses:\n%s", text)
	}
	t.Logf("met after %v, heard after %v, direct after %v:\n%s", met, heard, direct, ann.transcript())
	return housemates{met, heard, direct}
}

// Two chats in one home are connected directly: they find each other by multicast, or, where
// the network drops that, are told over the relayed connection where the other is.
func TestOneHome(t *testing.T) {
	var mu sync.Mutex
	said := make(map[string]string)
	t.Run("homes", func(t *testing.T) {
		for _, h := range homes() {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				at := h.meet(t)
				if at.direct-at.met > goalHome {
					t.Errorf("direct %v after they met, want at most %v", at.direct-at.met, goalHome)
				}
				mu.Lock()
				defer mu.Unlock()
				said[h.name] = fmt.Sprintf("| %s | %s | %s | %s |\n", h.name, seconds(at.met), seconds(at.heard), seconds(at.direct))
			})
		}
	})
	table := "| | they have met after | both have heard the other after | both are connected directly after |\n|---|---|---|---|\n"
	for _, h := range homes() {
		table += said[h.name]
	}
	record(8, "Two chats in one home", fmt.Sprintf(
		"Ann and Bob start a chat at the same time, behind the same NAT (%s), and both have said something.\n\n%s", Cone, table))
}
