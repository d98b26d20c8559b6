package reach

// Workaround of go-libp2p v0.52.0: EvtNATDeviceTypeChanged carries the label of the wrong
// transport. What it calls TCP is UDP, and the reverse, which found turns round. That can go
// when the labels are right.

import "github.com/libp2p/go-libp2p/core/network"

// NAT returns how the router maps ports of TCP, and of UDP, and the less favourable of both.
func (r *Reach) NAT() (tcp, udp, worse network.NATDeviceType) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := func(found network.NATDeviceType, transport string) network.NATDeviceType {
		if found == network.NATDeviceTypeUnknown {
			return r.sightings.mapping(transport)
		}
		return found
	}
	tcp, udp = of(r.nat.tcp, transportTCP), of(r.nat.udp, transportUDP)
	return tcp, udp, max(tcp, udp)
}

// Symmetric reports whether the router is known to use another port for each peer, on one
// transport, and on none the same port for all.
func (r *Reach) Symmetric() bool {
	tcp, udp, worse := r.NAT()
	const oneForAll = network.NATDeviceTypeEndpointIndependent
	return worse == network.NATDeviceTypeEndpointDependent && tcp != oneForAll && udp != oneForAll
}

// natTypes is what the host has found out about its NAT. The caller of its methods holds the
// lock of the room.
type natTypes struct{ tcp, udp network.NATDeviceType }

// found takes in what the host has found out, under the label of the other transport.
func (n *natTypes) found(label network.NATTransportProtocol, t network.NATDeviceType) {
	if label == network.NATTransportTCP {
		n.udp = t
	} else {
		n.tcp = t
	}
}
