package nat

import "slices"

// A Flavour is how a router translates addresses, and which packets from outside
// it lets in. All of them drop in silence what they do not let in, and use for the
// outside the port that the host uses, unless they are [Symmetric].
type Flavour string

// The flavours, in the words of RFC 4787.
const (
	// Cone maps independently of the endpoint, and lets in what comes from an
	// address and port that the host has sent to. It is what most homes have.
	Cone Flavour = "cone"

	// FullCone is [Cone] that lets in everything, from anyone.
	FullCone Flavour = "fullcone"

	// AddressFiltered is [Cone] that lets in what comes from an address that the
	// host has sent to, whatever its port.
	AddressFiltered Flavour = "adf"

	// Symmetric uses another, random port for each endpoint, and filters as
	// [Cone] does.
	Symmetric Flavour = "sym"

	// NoUDP is [Cone] for TCP, and lets no UDP through.
	NoUDP Flavour = "noudp"
)

// Flavours returns all flavours.
func Flavours() []Flavour { return []Flavour{Cone, FullCone, AddressFiltered, Symmetric, NoUDP} }

// Direct reports whether two hosts, each behind a router of its own, can come to a
// direct connection if they send to each other at the same time: not if one of
// the routers uses a port that the other side cannot know, and the other lets in
// only what comes from a known port.
func Direct(a, b Flavour) bool {
	strict := func(f Flavour) bool { return f != FullCone && f != AddressFiltered }
	return (a != Symmetric || !strict(b)) && (b != Symmetric || !strict(a))
}

// rules returns what iptables-restore reads to make a router of it, between the
// interfaces lan and wan, for the one host of the lan.
//
// A packet that conntrack takes for invalid is not translated: it would leave with
// a private address. One that is meant for the router itself is dropped rather
// than answered, because the entry that an answer leaves in conntrack keeps the
// port from the flow of the host that is to have it.
func (f Flavour) rules(host string) []string {
	filter := []string{
		"*filter",
		":INPUT ACCEPT", ":FORWARD DROP", ":OUTPUT ACCEPT",
		"-A INPUT -i wan -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"-A INPUT -i wan -j DROP",
		"-A FORWARD -m conntrack --ctstate INVALID -j DROP",
	}
	translate := []string{"*nat"}
	masquerade := "-A POSTROUTING -o wan -j MASQUERADE"
	unsolicited := "" // which of it is for the host, if any is

	switch f {
	case FullCone:
		unsolicited = "-i wan"
	case AddressFiltered:
		filter = append(filter, "-A FORWARD -i lan -o wan -m recent --name contacted --rdest --set")
		unsolicited = "-i wan -m recent --name contacted --rsource --rcheck --seconds 300"
	case Symmetric:
		masquerade += " --random-fully"
	case NoUDP:
		filter = append(filter, "-A FORWARD -p udp -j DROP")
	case Cone:
	}
	if unsolicited != "" {
		filter = append(filter, "-A FORWARD -i wan -d "+host+" -j ACCEPT")
		for _, protocol := range []string{"tcp", "udp"} {
			translate = append(translate, "-A PREROUTING -p "+protocol+" "+unsolicited+" -j DNAT --to-destination "+host)
		}
	}
	return slices.Concat(
		filter, []string{
			"-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			"-A FORWARD -i lan -o wan -j ACCEPT",
			"COMMIT",
		},
		translate, []string{masquerade, "COMMIT"},
	)
}
