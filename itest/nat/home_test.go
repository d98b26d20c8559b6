//go:build linux

package nat

import (
	"fmt"
	"testing"
	"time"
)

// Two chats in one home, whose router lets nothing back in that comes from inside, are
// connected directly.
func TestOneHome(t *testing.T) {
	w := newWorld(t, 1, Cone)
	requireTraversal(t, "chat")
	if _, err := w.Beside(0); err != nil {
		t.Fatal(err)
	}
	ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
	ann.say(t, "can you hear me")
	bob.say(t, "loud and clear")
	heard := max(bob.hears(t, "ann: can you hear me"), ann.hears(t, "bob: loud and clear"))
	direct := max(ann.hearsWithin(t, "directly", 30*time.Second), bob.hearsWithin(t, "directly", 30*time.Second))
	t.Logf("heard after %v, direct after %v", heard, direct)
	if direct > 2*time.Second {
		t.Errorf("direct after %v, want at most 2s", direct)
	}
	record(8, "Two chats in one home", fmt.Sprintf(
		"Ann and Bob start a chat at the same time, behind the same NAT (%s), and both have said something. Both have heard the other\n"+
			"after %s, and both are connected directly after %s.\n", Cone, seconds(heard), seconds(direct)))
}
