//go:build !linux

package reach

import "net"

// dontSplit does nothing: a small path MTU is not found out about.
func dontSplit(*net.UDPConn) {}
