//go:build !race

package protocol

// raced reports whether the race detector is on. See long.
const raced = false
