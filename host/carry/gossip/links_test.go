package gossip

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A link is replaced when its peer has another one, and not when it has only ended.
func TestReplaced(t *testing.T) {
	l := newLinks("self", func() {})
	l.OnNewOutboundStream("a", "")
	l.OnNewOutboundStream("b", "")
	had := map[peer.ID]uint64{"a": l.of("a"), "b": l.of("b")}
	check := func(when string, want bool) {
		t.Helper()
		if got := l.replaced(had); got != want {
			t.Errorf("%s: replaced is %v, want %v", when, got, want)
		}
	}
	check("at first", false)
	l.OnClosedOutboundStream("b")
	check("after one has ended", false)
	l.OnNewOutboundStream("c", "")
	check("after a link to another peer", false)
	l.OnNewOutboundStream("b", "")
	check("after another link to the same peer", true)
	if l.replaced(nil) {
		t.Error("none of no links is replaced")
	}
}
