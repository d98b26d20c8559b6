//go:build !race

package routing

// raced reports whether the race detector is on. See long.
const raced = false
