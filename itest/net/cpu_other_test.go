//go:build !unix

package net_test

import "time"

func processTime() time.Duration { return 0 }
