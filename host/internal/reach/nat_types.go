package reach

// Workaround of go-libp2p v0.51.0: EvtNATDeviceTypeChanged carries the label of the wrong
// transport (what it calls TCP is UDP, and the reverse), so this file only tells the two
// labels apart, and reports the less favourable type. It can go when the labels are right.

import "github.com/libp2p/go-libp2p/core/network"

// NAT returns how the router maps ports, the less favourable of TCP and UDP.
func (r *Reach) NAT() network.NATDeviceType {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.nat.worst(); t != network.NATDeviceTypeUnknown {
		return t
	}
	return r.sightings.mapping()
}

// natTypes is what the host has found out about its NAT, by the label of the transport.
// The caller of its methods holds the lock of the room.
type natTypes struct {
	types map[network.NATTransportProtocol]network.NATDeviceType
}

// found takes in what the host has found out.
func (n *natTypes) found(label network.NATTransportProtocol, t network.NATDeviceType) {
	if n.types == nil {
		n.types = make(map[network.NATTransportProtocol]network.NATDeviceType)
	}
	n.types[label] = t
}

// worst returns the less favourable of the types that are known.
func (n *natTypes) worst() network.NATDeviceType {
	worst := network.NATDeviceTypeUnknown
	for _, t := range n.types {
		worst = max(worst, t)
	}
	return worst
}
