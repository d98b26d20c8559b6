//go:build unix

package net_test

import (
	"syscall"
	"time"
)

// processTime returns the time of processors that the process has had; 0 on systems other than
// Unix.
func processTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
