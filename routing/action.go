package routing

import "time"

// An ActionKind says what the driver of a lookup is to do.
type ActionKind uint8

// The kinds of an [Action].
const (
	Ask  ActionKind = iota // send Contact a request
	Wait                   // for an answer, a failure, or Until
	Done                   // the lookup is over: cancel what is in flight
	Drop                   // cancel the request to Contact: its answer will not count
	Also                   // dial Contact at the addresses of its Wire too: its request is under way
)

// String returns the name of k in lower case.
func (k ActionKind) String() string {
	switch k {
	case Ask:
		return "ask"
	case Wait:
		return "wait"
	case Done:
		return "done"
	case Drop:
		return "drop"
	case Also:
		return "also"
	}
	return "invalid"
}

// An Action is what [Lookup.Next] wants done.
type Action struct {
	Kind    ActionKind
	Contact Contact   // Ask, Also, Drop: the contact to ask, to dial, or not to wait for any more
	Path    int       // Ask, Also: the path that asks, from 0
	Depth   int       // Ask, Also: the hops to the contact; a seed is at 1
	About   Contact   // Ask: if its ID is not empty, ask for the contacts closest to it, not to the target
	Until   time.Time // Wait: call Next then, if nothing happens before; never zero
}

// An End is why a lookup ended.
type End uint8

// The ends of a lookup.
const (
	Running    End = iota // it has not ended
	Converged             // the Beta closest contacts have answered
	Exhausted             // fewer than Beta are left, and all of them have answered, or are late
	Stopped               // the caller stopped it, or each of its paths
	DepthLimit            // a contact among the closest was more than MaxDepth hops away
	NoSeeds               // there was no contact to ask
	Overrun               // it asked 8 times K contacts, and there were closer ones
)

// String returns the name of e in lower case.
func (e End) String() string {
	switch e {
	case Running:
		return "running"
	case Converged:
		return "converged"
	case Exhausted:
		return "exhausted"
	case Stopped:
		return "stopped"
	case DepthLimit:
		return "depth limit"
	case NoSeeds:
		return "no seeds"
	case Overrun:
		return "overrun"
	}
	return "invalid"
}

// A Result is what a lookup has found so far.
type Result struct {
	Closest    []Contact // up to K that answered, or are Recent and confirmed, closest first
	Answered   []Contact // all that answered, closest first
	Awaited    []Contact // of the K closest that have not failed, the ones that were asked and may still answer, closest first
	Known      int       // the K closest contacts that were named, or all if there are fewer, gone ones too
	Told       int       // of them, the ones that answered, or are Recent and confirmed
	Requests   int       // requests; a contact that does not answer is asked at up to 4 places
	Failed     int       // requests that failed, or were dropped
	Late       int       // contacts that had not answered when it ended, and were late
	Hops       int       // depth of the deepest contact that answered; a seed is at 1
	End        End       // why it ended
	Confidence float64   // how likely Closest are the closest that are alive, from 0 to 1; 0 if it is unknown
	Crowded    bool      // more contacts are near the target than chance brings there: Closest has up to 4 K

	grown Size // what a census has shown of the network; zero if there was none
}
