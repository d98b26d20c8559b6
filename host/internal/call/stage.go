package call

// A Stage is how far a request has come.
type Stage uint8

// The stages of a request to a peer that is not connected, or has no room for it.
const (
	Queued    Stage = iota // it waits for its turn to be dialled, or for room
	Dialled                // the dial begins
	Connected              // the dial succeeded
)
