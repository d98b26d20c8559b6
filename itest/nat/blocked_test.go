//go:build linux

package nat

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Two chats are connected directly where one of the routers lets no UDP through, as two nodes are.
func TestChatWithoutUDP(t *testing.T) {
	pairs := [][2]Flavour{{NoUDP, Cone}, {Cone, NoUDP}}
	took := make([]time.Duration, len(pairs))
	var mu sync.Mutex
	t.Run("pairs", func(t *testing.T) {
		for i, p := range pairs {
			t.Run(fmt.Sprintf("%s and %s", p[0], p[1]), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1, p[0], p[1])
				requireTraversal(t, "chat")
				ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
				direct := max(ann.hearsWithin(t, "directly", 15*time.Second), bob.hearsWithin(t, "directly", 15*time.Second))
				t.Logf("direct after %v", direct)
				mu.Lock()
				defer mu.Unlock()
				took[i] = direct
			})
		}
	})
	text := "Ann and Bob start a chat at the same time. Both are connected directly after:\n\n| Ann's NAT | Bob's NAT | direct after |\n|---|---|---|\n"
	for i, p := range pairs {
		text += fmt.Sprintf("| %s | %s | %s |\n", p[0], p[1], seconds(took[i]))
	}
	record(9, "Two chats, and one NAT lets no UDP through", text)
}
