package host

import (
	"cmp"
	"time"
)

// RelayLimits bound what a node gives other peers as their relay; see Config.OfferRelay.
// The zero value of a field means its default, which is fit for a chat: hours of
// text, some pictures, no films.
//
// They multiply: at a time there are at most Reservations × Circuits relayed
// connections, by default 512, which carry at most Bytes each way each, 8 GiB each way
// together; the node receives, and sends, both ways: 16 GiB. The rate is not bounded: a
// peer that has used up a connection may open the next one. If every peer uses up its
// share once in each Duration, that is 40 Mbit/s in, and as much out. Peers that chat,
// and become direct, use some kB.
type RelayLimits struct {
	// Duration is how long one relayed connection lasts, in full seconds. If zero, 1h.
	Duration time.Duration

	// Bytes is how much one relayed connection carries in each direction. If zero,
	// 16 MiB.
	Bytes int64

	// Reservations is how many peers can be reached through the node at a time. If
	// zero, 128.
	Reservations int

	// ReservationsPerIP is how many of them may have the same address: peers
	// behind one NAT. If zero, 16.
	ReservationsPerIP int

	// Circuits is how many relayed connections each peer has at a time, from and to it
	// together. If zero, 4, which is 8 with the two relays that a peer has. A connection
	// that becomes direct makes room for another.
	Circuits int
}

// withDefaults returns l with every zero field set to its default.
func (l RelayLimits) withDefaults() RelayLimits {
	l.Duration = cmp.Or(l.Duration, time.Hour)
	l.Bytes = cmp.Or(l.Bytes, 16<<20)
	l.Reservations = cmp.Or(l.Reservations, 128)
	l.ReservationsPerIP = cmp.Or(l.ReservationsPerIP, 16)
	l.Circuits = cmp.Or(l.Circuits, 4)
	return l
}

// valid reports whether a relay can have such limits. The protocol has 32 bits for the
// duration, and 63 for the bytes.
func (l RelayLimits) valid() bool {
	const maxDuration = 1 << 31 * time.Second
	return l.Duration >= time.Second && l.Duration < maxDuration && l.Bytes > 0 &&
		l.Reservations > 0 && l.ReservationsPerIP > 0 && l.Circuits > 0
}
