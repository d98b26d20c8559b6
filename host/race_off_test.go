//go:build !race

package host

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
