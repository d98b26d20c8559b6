//go:build !race

package serve

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
