package tasks

import (
	"time"

	"golang.org/x/sys/unix"
)

// Slept returns for how long the machine has slept since it was started; false if the system
// does not tell that.
func Slept() (time.Duration, bool) {
	var awake, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0, false
	}
	return time.Duration(all.Nano() - awake.Nano()), true
}
