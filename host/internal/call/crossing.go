package call

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: two hosts that dial each other over TCP at the same time, each from the port on
// which it listens, get one connection that both have opened (RFC 9293, section 3.5). Both are its
// client, so that both handshakes fail: 11 of 50 pairs on one machine. Each seems silent to the
// other, and the swarm dials none again for seconds. So such a dial is made again. That is in vain
// while another dial of the same peer is under way, which the swarm joins to it.
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

	// dialsAgain is after what time the peer with the greater ID dials again, and otherDials after
	// what time the other one does.
	dialsAgain = 25 * time.Millisecond
	otherDials = 100 * time.Millisecond
)

// Dial connects a host to a peer, also if the peer dials it at the same time.
func Dial(ctx context.Context, h lhost.Host, to peer.ID) error {
	for again := 0; ; again++ {
		_, err := h.Network().DialPeer(ctx, to)
		if again == maxCrossings || !crossed(err) {
			return err
		}
		pause := dialsAgain
		if h.ID() < to {
			pause = otherDials
		}
		if !tasks.Pause(ctx, pause, nil) {
			return err
		}
		forgetFailures(h, to)
	}
}

// crossed reports whether a dial failed since the other side was a client, too, at each address at
// which there is a way to it: what answers so at one of them does not have the others dialled again.
func crossed(err error) bool {
	failed, ok := errors.AsType[*swarm.DialError](err)
	return ok && each(failed, func(cause error) bool { return untried(cause) || noWay(cause) }, isClient)
}

// isClient reports whether a handshake failed since the other side was a client, too.
func isClient(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, handshake) &&
		(strings.Contains(text, "clientHelloMsg when waiting for *tls.serverHelloMsg") || strings.HasSuffix(text, "noise: message is too short"))
}
