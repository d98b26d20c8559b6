//go:build !race

package network_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
