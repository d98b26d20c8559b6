//go:build race

package net_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
