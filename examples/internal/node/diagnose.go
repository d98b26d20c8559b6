package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
)

// diagnose answers how the node can be found and reached, and what would improve that.
func diagnose(ctx context.Context, c *call) (answer, error) {
	g, err := c.dht.Diagnose(ctx)
	if err != nil {
		return nil, err
	}
	addrs, err := c.addrs()
	if err != nil {
		return nil, err
	}
	body := diagnosis(g)
	body["addrs"] = addrs
	return body, nil
}

// diagnosis returns a diagnosis as JSON has it, without the addresses of the node.
func diagnosis(g kad.Diagnosis) answer {
	body := answer{
		"ready":        g.NotReady == nil,
		"reachability": strings.ToLower(g.Reachability.String()), "reachability_source": g.ReachabilitySource,
		"mode": g.Mode.String(), "mode_reason": g.ModeReason,
		"nat":          answer{"tcp": strings.ToLower(g.NATTCP.String()), "udp": strings.ToLower(g.NATUDP.String())},
		"filtering":    g.Filtering.String(),
		"udp_blocked":  g.UDPBlocked,
		"clock_off_ms": g.ClockOff.Milliseconds(),
		"offline":      g.Offline,
		"relays":       texts(g.Relays),
		"found_by":     answer{"asked": g.Asked, "told": g.Told},
		"says":         says(g),
		"advice":       append([]string{}, g.Advice...), // never null
		"best":         "",
	}
	if len(g.Advice) > 0 {
		body["best"] = g.Advice[0]
	}
	if g.NotReady != nil {
		body["not_ready"] = OneLine(g.NotReady)
	}
	return body
}

// says returns what a diagnosis has found, in sentences for people.
func says(g kad.Diagnosis) []string {
	var list []string
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if g.NotReady == nil {
		say("Lookups work.")
	} else {
		say("Lookups do not work: %s.", strings.TrimSuffix(OneLine(g.NotReady), "."))
	}
	if g.Offline {
		say("No peer answers any more.")
	}
	if g.ClockOff != 0 {
		side := "ahead of"
		if g.ClockOff < 0 {
			side = "behind"
		}
		say("The clock of this machine is %s that of its peers, by %v or more.", side, g.ClockOff.Abs().Round(time.Minute))
	}
	switch g.Reachability {
	case network.ReachabilityPublic:
		say("Other peers can dial this node: %s.", g.ReachabilitySource)
	case network.ReachabilityPrivate:
		say("Other peers cannot dial this node: %s.", g.ReachabilitySource)
	default:
		say("It is not known yet whether other peers can dial this node: %s.", g.ReachabilitySource)
	}
	say("It is a %s: %s.", g.Mode, g.ModeReason)
	for _, of := range []struct {
		transport string
		nat       network.NATDeviceType
	}{{"TCP", g.NATTCP}, {"UDP", g.NATUDP}} {
		switch of.nat {
		case network.NATDeviceTypeEndpointIndependent:
			say("The router uses one port for all peers over %s, so that holes can be punched.", of.transport)
		case network.NATDeviceTypeEndpointDependent:
			say("The router uses another port for each peer over %s, so that few holes can be punched.", of.transport)
		}
	}
	switch g.Filtering {
	case kad.FilteringNone:
		say("A peer has come in that this node had not dialled.")
	case kad.FilteringDialled:
		say("The router, or a firewall, lets in the peers alone that this node dials.")
	}
	if g.UDPBlocked {
		say("No UDP gets through.")
	}
	if g.SmallMTU {
		say("UDP gets through in small packets alone.")
	}
	if n := len(g.Relays); n > 0 {
		say("Relays that lead to this node: %d.", n)
	}
	if g.Asked > 0 {
		say("Of the %d closest peers that answered, %d name it with an address that it announces.", g.Asked, g.Told)
	}
	return list
}
