package call

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: two hosts that dial each other over TCP at the same time, each from the port on
// which it listens, get one connection that both have opened (RFC 9293, section 3.5). Both are its
// client, so that both handshakes fail: 11 of 50 pairs on one machine. Each seems silent to the
// other, and the swarm dials none again for seconds. So such a dial is made again.
//
// It can go when the swarm does that, or the handshake can agree on a client.

import (
	"context"
	"errors"
	"strings"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// maxCrossings is how often a dial is made again.
	maxCrossings = 3

	// otherDials is for how long the dial of the other side is waited for.
	otherDials = 100 * time.Millisecond
)

// Dial connects a host to a peer, also if the peer dials it at the same time. The peer with the
// greater ID dials again first.
func Dial(ctx context.Context, h lhost.Host, to peer.ID) error {
	for again := 0; ; again++ {
		_, err := h.Network().DialPeer(ctx, to)
		if again == maxCrossings || !crossed(err) {
			return err
		}
		if h.ID() < to && !tasks.Pause(ctx, otherDials, nil) {
			return err
		}
		if b := Backoff(h); b != nil {
			b.Clear(to)
		}
	}
}

// crossed reports whether a dial failed since the other side was a client, too.
func crossed(err error) bool {
	failed, ok := errors.AsType[*swarm.DialError](err)
	if !ok {
		return false
	}
	for _, e := range failed.DialErrors {
		text := e.Cause.Error()
		if strings.HasPrefix(text, handshake) &&
			(strings.Contains(text, "clientHelloMsg when waiting for *tls.serverHelloMsg") || strings.HasSuffix(text, "noise: message is too short")) {
			return true
		}
	}
	return false
}
