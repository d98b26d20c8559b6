package simnat

import (
	"fmt"
	"net/netip"
	"time"
)

// A Dependence says what part of a remote address a NAT goes by.
//
// Source: RFC 4787, sections 4.1 and 5.
type Dependence uint8

const (
	// EndpointIndependent goes by nothing of it.
	EndpointIndependent Dependence = iota

	// AddressDependent goes by the address without the port.
	AddressDependent

	// AddressAndPortDependent goes by both.
	AddressAndPortDependent
)

// part returns what of remote counts; the rest is zero.
func (d Dependence) part(remote netip.AddrPort) netip.AddrPort {
	switch d {
	case AddressAndPortDependent:
		return remote
	case AddressDependent:
		return netip.AddrPortFrom(remote.Addr(), 0)
	default:
		return netip.AddrPort{}
	}
}

// String returns the words of the RFC.
func (d Dependence) String() string {
	switch d {
	case AddressAndPortDependent:
		return "address and port-dependent"
	case AddressDependent:
		return "address-dependent"
	default:
		return "endpoint-independent"
	}
}

// defaultTimeout is what a NAT must keep at least.
//
// Source: RFC 4787, section 4.3, REQ-5.
const defaultTimeout = 2 * time.Minute

// A Flavour is how a NAT behaves. The zero value is that of [FullCone].
type Flavour struct {
	// Mapping says for which remote addresses an inside port has the same outside
	// port.
	Mapping Dependence

	// Filtering says from whom packets are let in: from anybody once the inside
	// port has sent anything, or only from what it has sent to.
	Filtering Dependence

	// Timeout is for how long a mapping, and what it lets in, lasts after the last
	// packet that passed, either way. If zero, 2m. If negative, for ever.
	Timeout time.Duration
}

// FullCone keeps the port, and lets in what comes to it.
func FullCone() Flavour { return Flavour{} }

// AddressRestricted keeps the port, and lets in what comes from addresses that were
// sent to.
func AddressRestricted() Flavour { return Flavour{Filtering: AddressDependent} }

// PortRestricted keeps the port, and lets in what answers. Most home routers do that.
func PortRestricted() Flavour { return Flavour{Filtering: AddressAndPortDependent} }

// Symmetric uses another port for each remote address and port, and lets in what
// answers.
func Symmetric() Flavour {
	return Flavour{Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent}
}

// String returns the usual name of the flavour, or else what it does.
func (f Flavour) String() string {
	switch (Flavour{Mapping: f.Mapping, Filtering: f.Filtering}) {
	case FullCone():
		return "full cone"
	case AddressRestricted():
		return "address-restricted"
	case PortRestricted():
		return "port-restricted"
	case Symmetric():
		return "symmetric"
	default:
		return fmt.Sprintf("%s mapping, %s filtering", f.Mapping, f.Filtering)
	}
}

// timeout returns when something is over that was used at a time.
func (f Flavour) over(used, now time.Time) bool {
	switch {
	case f.Timeout < 0:
		return false
	case f.Timeout == 0:
		return now.Sub(used) >= defaultTimeout
	default:
		return now.Sub(used) >= f.Timeout
	}
}
