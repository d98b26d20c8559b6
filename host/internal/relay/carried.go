package relay

import (
	"sync/atomic"
	"time"

	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

// Carried is what the node gives other peers as their relay. It counts the relay that
// [Limits] are for, and not one that the host runs by itself.
type Carried struct {
	Reservations, Circuits int    // now
	Bytes                  uint64 // carried, in both directions
	Refused                uint64 // reservations and circuits for which a limit left no room
}

// Carried returns what the node gives other peers as their relay.
func (r *Relays) Carried() Carried {
	c := Carried{Bytes: r.bytes.Load(), Refused: r.noRoom.Load()}
	if now := r.carrying.Load(); now != nil {
		c.Reservations, c.Circuits = int(now.reservations.Load()), int(now.circuits.Load())
	}
	return c
}

// carrying counts what one service carries now. What ends after it counts no more.
type carrying struct {
	of                     *Relays
	reservations, circuits atomic.Int64
}

var _ relayv2.MetricsTracer = (*carrying)(nil)

// RelayStatus implements [relayv2.MetricsTracer].
func (c *carrying) RelayStatus(bool) {}

// ConnectionOpened counts a circuit.
func (c *carrying) ConnectionOpened() { c.circuits.Add(1) }

// ConnectionClosed counts one less.
func (c *carrying) ConnectionClosed(time.Duration) { c.circuits.Add(-1) }

// ConnectionRequestHandled counts a circuit that is refused for want of room.
func (c *carrying) ConnectionRequestHandled(status pb.Status) { c.refused(status) }

// ReservationAllowed counts a reservation.
func (c *carrying) ReservationAllowed(renewal bool) {
	if !renewal {
		c.reservations.Add(1)
	}
}

// ReservationClosed counts reservations that have ended.
func (c *carrying) ReservationClosed(n int) { c.reservations.Add(-int64(n)) }

// ReservationRequestHandled counts a reservation that is refused for want of room.
func (c *carrying) ReservationRequestHandled(status pb.Status) { c.refused(status) }

// BytesTransferred counts bytes.
func (c *carrying) BytesTransferred(n int) { c.of.bytes.Add(uint64(max(n, 0))) }

func (c *carrying) refused(status pb.Status) {
	if status == pb.Status_RESERVATION_REFUSED || status == pb.Status_RESOURCE_LIMIT_EXCEEDED {
		c.of.noRoom.Add(1)
	}
}
