package routing

import "time"

// The rules in this file are for the driver of a Table: a node, real or simulated.

const (
	// SeedFactor is how many times K contacts of the table a lookup starts from. It
	// asks the K closest first. The others are a reserve if many of the closest are gone.
	SeedFactor = 4

	// MaxChecks is how many contacts that are due are probed at a time. After an
	// outage, all are due.
	MaxChecks = 32

	// MaxIntroductions is how many peers are probed at a time to enter the table.
	MaxIntroductions = 16

	// FillLimit is how many requests of a [Fill] are under way at a time.
	FillLimit = 32

	// FillTimeout bounds a request of a [Fill]: a slower peer is not worth a place.
	FillTimeout = 2 * time.Second

	// MaxFillTime bounds all requests of a [Fill] together, so that peers which name
	// nodes that do not answer keep no node from joining. Refreshing finds the rest.
	MaxFillTime = 10 * time.Second
)

const (
	minJoinAfter = 200 * time.Millisecond
	maxJoinAfter = 30 * time.Second
)

// JoinAfter returns how long to wait after an attempt to join that failed; last is the
// wait before it, or 0. The wait is 200 ms at first, and doubles up to 30 s.
func JoinAfter(last time.Duration) time.Duration {
	return min(max(2*last, minJoinAfter), maxJoinAfter)
}

// LateAfter returns how long a request must have been under way for its contact to
// be in doubt when the request is given up. That is three quarters of patience, the
// longest time that a lookup waits: callers with the same patience give up just
// before it is over.
func LateAfter(patience time.Duration) time.Duration { return patience * 3 / 4 }
