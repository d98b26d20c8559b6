package events

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A Change is a change of the state of a node. The log has each once, at level info;
// [JoinFailed] of a node with bootstrap peers is a warning.
type Change interface {
	What

	// Says returns a sentence, and what it is about: names and values by turns.
	Says() (sentence string, fields []any)
}

// Joined says that the node has joined its network.
type Joined struct {
	Through  []peer.ID // bootstrap peers that are contacts now; none if others led into the network
	Contacts int       // in the routing table
	Took     time.Duration
}

// JoinFailed says that an attempt to join the network has failed. The log has the first,
// the second, the fourth, the eighth, and so on. While the node is [Offline], there is none.
type JoinFailed struct {
	Reason    string
	Bootstrap int           // bootstrap peers that are configured
	Attempt   int           // 1 is the first since the node had contacts, or since it started
	Again     time.Duration // when the next attempt is due
}

// Offline says that none of the contacts answers, or almost none, so that the node is
// probably offline. It removes no contact until it is [Back].
type Offline struct {
	Contacts int    // in the routing table
	Hindered string // why requests fail here; empty if they do not
}

// Back says that contacts answer again after [Offline].
type Back struct{}

// Single says that the node is the only server of its network, as far as it can know.
type Single struct{}

// ModeChanged says that Mode or Reachable has changed.
type ModeChanged struct {
	Mode      string // "server" or "client"
	Reachable bool   // peers on the internet can dial the node, as far as is known
	Reason    string
}

// RelaysChanged says that the relays have changed through which the node can be reached.
type RelaysChanged struct {
	Relays []peer.ID // that have a reservation for it
}

// PresenceTold says that peers hold the addresses of the node, which does not serve, after
// these have changed.
type PresenceTold struct {
	Holders int // peers that have stored them
	Addrs   int // how many addresses
}

// LimitReached says that a bound of the node was reached. There is one for the first, the
// second, the fourth, the eighth time, and so on; Stats of the DHT counts all.
type LimitReached struct {
	Limit string // streams, memory, turns, share, store or named, as in the metrics
	Times uint64 // since the node was started
}

// Says implements [Change].
func (c Joined) Says() (string, []any) {
	fields := []any{"contacts", c.Contacts, "took", c.Took.Round(time.Millisecond).String()}
	if len(c.Through) > 0 {
		fields = append(fields, "through", c.Through)
	}
	return "joined the network", fields
}

// Says implements [Change].
func (c JoinFailed) Says() (string, []any) {
	sentence := "cannot join the network"
	if c.Bootstrap == 0 {
		sentence = "waiting for a peer of the network"
	}
	return sentence, []any{"why", c.Reason, "attempt", c.Attempt, "again in", c.Again.Round(time.Millisecond).String()}
}

// Says implements [Change].
func (c Offline) Says() (string, []any) {
	if c.Hindered != "" {
		return "offline: requests fail on this machine", []any{"contacts", c.Contacts, "why", c.Hindered}
	}
	return "offline: no contact answers, or almost none", []any{"contacts", c.Contacts}
}

// Says implements [Change].
func (Back) Says() (string, []any) { return "back: contacts answer again", nil }

// Says implements [Change].
func (Single) Says() (string, []any) { return "this node is the only server of its network", nil }

// Says implements [Change].
func (c ModeChanged) Says() (string, []any) {
	return "the mode is " + c.Mode, []any{"reachable", c.Reachable, "why", c.Reason}
}

// Says implements [Change].
func (c RelaysChanged) Says() (string, []any) {
	if len(c.Relays) == 0 {
		return "this node has no relay any more", nil
	}
	return "this node can be reached through relays", []any{"relays", c.Relays}
}

// Says implements [Change].
func (c PresenceTold) Says() (string, []any) {
	return "peers hold the addresses of this node", []any{"addresses", c.Addrs, "holders", c.Holders}
}

// Says implements [Change].
func (c LimitReached) Says() (string, []any) {
	return "a limit is reached: " + limitSays(c.Limit), []any{"limit", c.Limit, "times", c.Times}
}

// limitSays returns what has happened at a limit.
func limitSays(limit string) string {
	switch limit {
	case "streams":
		return "all places for streams of peers are taken"
	case "memory":
		return "the memory for requests of peers is used up"
	case "turns":
		return "a request of a peer has waited too long for its turn"
	case "share":
		return "a peer has used up its share of the store"
	case "store":
		return "the store is full"
	case "named":
		return "peers name too many addresses at which there is no peer"
	default:
		return limit
	}
}

// Type returns joined.
func (Joined) Type() string { return "joined" }

// Type returns join_failed.
func (JoinFailed) Type() string { return "join_failed" }

// Type returns offline.
func (Offline) Type() string { return "offline" }

// Type returns back.
func (Back) Type() string { return "back" }

// Type returns single.
func (Single) Type() string { return "single" }

// Type returns mode_changed.
func (ModeChanged) Type() string { return "mode_changed" }

// Type returns relays_changed.
func (RelaysChanged) Type() string { return "relays_changed" }

// Type returns presence_told.
func (PresenceTold) Type() string { return "presence_told" }

// Type returns limit_reached.
func (LimitReached) Type() string { return "limit_reached" }

func (Joined) event()        {}
func (JoinFailed) event()    {}
func (Offline) event()       {}
func (Back) event()          {}
func (Single) event()        {}
func (ModeChanged) event()   {}
func (RelaysChanged) event() {}
func (PresenceTold) event()  {}
func (LimitReached) event()  {}
