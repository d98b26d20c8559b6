package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

func TestBacklog(t *testing.T) {
	const size = 100 + overhead
	for name, c := range map[string]struct{ least, most, bytes, kept int }{
		"room for all":     {1, 20, 10 * size, 10},
		"too many":         {1, 4, 10 * size, 4},
		"too large":        {1, 20, 3*size + 1, 3},
		"the least remain": {5, 20, size, 5},
		"one too large":    {1, 20, 1, 1},
	} {
		var b backlog
		dropped := 0
		for i := range 10 {
			b.add([]byte(fmt.Sprint(i, strings.Repeat("x", 99))))
			dropped += b.trim(c.least, c.most, c.bytes)
		}
		if len(b.messages) != c.kept || dropped != 10-c.kept || b.bytes != c.kept*size {
			t.Errorf("%s: %d messages of %d bytes are left, %d dropped; want %d", name, len(b.messages), b.bytes, dropped, c.kept)
		} else if first := b.messages[0][0]; first != byte('0'+10-c.kept) {
			t.Errorf("%s: the oldest is %c", name, first)
		}
	}
}

// What is said for 20 s, five times a second, arrives after it, each message once and in
// order: also if it was written to a connection that had died.
func TestOutage(t *testing.T) {
	const count = 100
	line := func(i int) string { return fmt.Sprintf("%3d %s", i, strings.Repeat("x", 60)) }
	for name, noticed := range map[string]bool{"noticed": true, "not noticed": false} {
		t.Run(name, func(t *testing.T) {
			ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
			wire := pathtest.NewWire(t, ann.host)
			bob.host.Peerstore().AddAddr(idOf(ann), wire.Addr, time.Hour)
			if _, err := bob.host.Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), idOf(ann)); err != nil {
				t.Fatal(err)
			}
			ann.hello(t, bob)
			bob.hello(t, ann)
			wire.Cut()
			if noticed {
				wire.End()
				pathtest.Eventually(t, "ann is alone", func() bool { return ann.Peers() == 0 })
			}
			for i := range count {
				ann.publish(t, line(i))
			}
			_ = bob.host.Network().ClosePeer(idOf(ann))
			bob.host.Peerstore().ClearAddrs(idOf(ann))
			pathtest.Direct(t, bob.host, ann.host)
			if !noticed {
				wire.End()
			}
			for i := range count {
				if e := bob.await(t, Message); string(e.Data) != line(i) {
					t.Fatalf("bob: %q, want %q", e.Data, line(i))
				}
			}
		})
	}
}
