package observe

import "time"

// An Operation is a kind of what users of a DHT call.
type Operation uint8

// The operations.
const (
	Put Operation = iota
	Get
	Announce
	Providers
	FindPeer
	ClosestPeers
	Connect
	operations int = iota
)

// String returns the name of an operation in lower case, with underscores.
func (o Operation) String() string {
	return [...]string{"put", "get", "announce", "providers", "find_peer", "closest_peers", "connect"}[o]
}

// Operations has a Histogram for each operation and each outcome, whose number is from 0 to 7.
type Operations struct {
	of [operations]row
}

// Add counts one operation.
func (o *Operations) Add(op Operation, outcome uint8, took time.Duration) {
	o.of[op][outcome].Add(took)
}

// Each calls f with the name of each operation, each outcome, and its times, if there are any.
func (o *Operations) Each(f func(kind string, outcome uint8, t Times)) {
	for op := range o.of {
		o.of[op].each(Operation(op).String(), f)
	}
}
