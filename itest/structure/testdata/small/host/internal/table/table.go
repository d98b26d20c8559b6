// Package table is a room.
package table

import "time"

// Table ticks.
type Table struct {
	tick func(time.Duration) <-chan time.Time
}

// New names a function of the clock.
func New() *Table { return &Table{tick: time.After} }
