package call

// Workaround of go-libp2p v0.51.0.
//
// What is wrong: the swarm remembers the failed dials of a peer for up to 5 minutes, and
// refuses to dial the peer again in that time; a node would stay offline for as long after
// an outage. The interface of a network has no method that clears this memory. The option
// that forces a dial (network.WithForceDirectDial) does it, but panics with a host that
// is being closed. So the memory of the swarm is reached by a type assertion.
//
// It can go when network.Network has a method that forgets failed dials.

import (
	"errors"
	"fmt"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// Backoff returns what the swarm of a host knows of failed dials; nil if its network is no
// swarm.
func Backoff(h lhost.Host) *swarm.DialBackoff {
	if s, ok := h.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		return s.Backoff()
	}
	return nil
}

// forgetFailures has the swarm of a host forget the failed dials of a peer.
func forgetFailures(h lhost.Host, id peer.ID) {
	if b := Backoff(h); b != nil {
		b.Clear(id)
	}
}

// DialError returns the reasons of a failed dial, one per address, without the words
// around them.
func DialError(err error) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) {
		return err
	}
	if len(failed.DialErrors) == 0 {
		return failed.Cause
	}
	var errs []error
	for _, e := range failed.DialErrors {
		errs = append(errs, fmt.Errorf("%s: %w", e.Address, e.Cause))
	}
	return errors.Join(errs...)
}
