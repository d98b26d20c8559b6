// Package kill_test kills a node again and again, and looks whether it has
// forgotten anything that it had acknowledged.
//
// The node is a process of examples/node with a directory. Others write to it
// while it is killed: through its own API, and through peers that store with it.
// Then it is started again with nobody to talk to, and asked over the protocol of
// the DHT, so that its answers can only come from its directory.
//
// What this shows is that nothing is acknowledged before it has been handed to the
// system, and that what a dead process leaves needs no repair. It does not show
// what a power cut leaves: what the system had not written yet outlives a
// process.
package kill_test

import (
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// network is the name of the network, and the prefix of its protocol.
	network = "/kill"

	// patience bounds whatever is waited for: none comes near it, and a hang
	// fails with an error of its own.
	patience = time.Minute
)

// skipWindows skips a test that needs signals.
func skipWindows(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM, by which peers are stopped")
	}
}
