//go:build !linux

package tasks

import "time"

// Slept returns for how long the machine has slept since it was started; false if the system
// does not tell that.
func Slept() (time.Duration, bool) { return 0, false }
