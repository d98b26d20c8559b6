package call

// Workaround of go-libp2p v0.52.0.
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
	"strings"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-kad/kad/host/internal/kaderr"
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
		errs = append(errs, fmt.Errorf("%s: %w", e.Address, explained(e.Cause)))
	}
	return errors.Join(errs...)
}

// handshake is how an error of libp2p begins when a connection was accepted, and was not
// secured after that.
const handshake = "failed to negotiate security protocol"

// explained returns the failure of a dial with its likely cause and what to do, where the
// words of libp2p do not say that.
func explained(err error) error {
	var mismatch sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &mismatch) || strings.Contains(err.Error(), "peer id mismatch"):
		return fmt.Errorf("another peer has this address now, so use the ID that it has (%w)", err)
	case isBadCertificate(err):
		return &kaderr.ClockError{
			Off: certificateAge,
			Err: fmt.Errorf("the peer refuses the certificate of this host: the clock of this host is probably ahead, by an hour or more, so set it and start again (%w)", err),
		}
	case behind(err) > 0:
		return &kaderr.ClockError{
			Off: -behind(err),
			Err: fmt.Errorf("the clock of this host is behind that of the peer, by %v or more, so set it and start again (%w)", behind(err), err),
		}
	case !strings.Contains(err.Error(), handshake):
		return err
	case kaderr.TimedOut(err):
		return fmt.Errorf("what listens there accepts connections and says nothing: it hangs, or is no libp2p host, or one of the two hosts has another private network (libp2p.PrivateNetwork), or none (%w)", err)
	default:
		return fmt.Errorf("what listens there does not speak as this host does: it is no libp2p host, or one of the two hosts has another private network (libp2p.PrivateNetwork), or none (%w)", err)
	}
}
