package call

// Workaround of js-libp2p (kad-dht 16 and before), which no version of go-libp2p needs.
//
// What is wrong: some js-libp2p peers answer only when they see the end of the request;
// others reset the stream if that end comes just after their answer, which loses the
// answer. So the end is sent only if the answer has not come after 200 ms.
//
// It can go when no js-libp2p peer waits for the end of a request.

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// halfCloseAfter is how long a stream stays open for writing while there is no answer.
const halfCloseAfter = 200 * time.Millisecond

// halfClose ends the writing side of a stream after 200 ms, unless the function that it
// returns is called before.
func halfClose(stream network.Stream) (stop func()) {
	timer := time.AfterFunc(halfCloseAfter, func() { _ = stream.CloseWrite() })
	return func() { timer.Stop() }
}
