//go:build linux

package nat

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Two chats in one home, whose router lets nothing back in that comes from inside, are
// connected directly: they find each other by multicast, or, where the network drops that, are
// told over the relayed connection where the other is.
func TestOneHome(t *testing.T) {
	var mu sync.Mutex
	said := make(map[string]string)
	homes := []string{"as in most homes", "the network drops multicast"}
	t.Run("homes", func(t *testing.T) {
		for i, home := range homes {
			t.Run(home, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1, Cone)
				requireTraversal(t, "chat")
				if _, err := w.Beside(0); err != nil {
					t.Fatal(err)
				}
				if i > 0 {
					for _, m := range w.Hosts {
						if err := m.DropMulticast(); err != nil {
							t.Fatal(err)
						}
					}
				}
				ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
				ann.say(t, "can you hear me")
				bob.say(t, "loud and clear")
				heard := max(bob.hears(t, "ann: can you hear me"), ann.hears(t, "bob: loud and clear"))
				direct := max(ann.hearsWithin(t, "directly", 30*time.Second), bob.hearsWithin(t, "directly", 30*time.Second))
				met := min(ann.hears(t, "somebody came"), bob.hears(t, "somebody came")) // through a relay, where there is no multicast
				t.Logf("met after %v, heard after %v, direct after %v:\n%s", met, heard, direct, ann.transcript())
				if direct-met > 2*time.Second {
					t.Errorf("direct %v after they met, want at most 2s", direct-met)
				}
				if text := ann.transcript() + bob.transcript(); strings.Contains(text, "punched") {
					t.Errorf("they are not connected at their local addresses:\n%s", text)
				}
				mu.Lock()
				defer mu.Unlock()
				said[home] = fmt.Sprintf("| %s | %s | %s | %s |\n", home, seconds(met), seconds(heard), seconds(direct))
			})
		}
	})
	table := "| | they have met after | both have heard the other after | both are connected directly after |\n|---|---|---|---|\n"
	for _, home := range homes {
		table += said[home]
	}
	record(8, "Two chats in one home", fmt.Sprintf(
		"Ann and Bob start a chat at the same time, behind the same NAT (%s), and both have said something.\n\n%s", Cone, table))
}
