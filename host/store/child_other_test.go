//go:build !linux

package store_test

import "errors"

// childFill needs what other systems have under other names.
func childFill(string, int) error { return errors.ErrUnsupported }
