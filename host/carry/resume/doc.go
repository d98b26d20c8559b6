// Package resume has streams to a peer that go on when the connections to it change: when a
// relay dies or reaches its limit, when a hole is punched, and when one of both moves to
// another network.
//
// An [Endpoint] opens and accepts streams of one protocol on a libp2p host:
//
//	e := resume.New(h, "/my-app/1.0.0", resume.Config{
//		Connect: func(ctx context.Context, id peer.ID) error {
//			_, err := dht.Connect(ctx, id)
//			return err
//		},
//		Accept: func(s *resume.Stream) { ... },
//	})
//	defer e.Close() // before the host
//	s, err := e.Open(ctx, friend)
//
// A [Stream] is a [net.Conn]: what is written is read once, and in order. The
// application does not see which connection carries it. While there is none, up to
// Config.Window bytes are kept, then Write waits; both sides look for the other one, and after
// Config.Patience the stream fails with a [*LostError], which says how much was not read.
// [Stream.Flush] waits until the other side has read everything, and [Stream.Status] says how
// the stream stands, for a progress bar.
//
// A stream moves to a direct connection when there is one. On a connection that its relay
// limits, it carries a quarter of the limit at once, and more after 10 s without a
// direct connection: 5 MB do not end in the 128 KiB of a common relay.
//
// For messages, put their length in front of each, for instance with go-msgio. Package
// [github.com/go-kad/kad/host/carry] moves the streams of protocols that exist already, such
// as pubsub.
//
// # Errors
//
// [ErrReset], [ErrGone], [ErrFull], [ErrStopped], [ErrClosed] and [*LostError] say why a stream
// has ended. A stream lives in the memory of two programs: when one of them ends, the
// stream does.
//
// # Decisions
//
// Offsets, and not messages.
//
//   - Context: what was written to a connection that breaks may have arrived or not.
//   - Decision: each side says on a new path up to which byte it has received; the other one
//     goes on from there.
//   - Consequence: nothing is lost and nothing comes twice; 13 bytes more for each 32 KiB.
//   - Would change it: streams of libp2p that migrate by themselves.
//
// What is read is acknowledged, and that is also the flow control.
//
//   - Context: the sender has to keep what may have to be sent again, and the receiver what is
//     not read yet.
//   - Decision: one window bounds both; it moves when the application reads.
//   - Consequence: Flush means that the application has it; a round trip carries a window at
//     most.
//   - Would change it: a use for streams faster than a window per round trip.
//
// The side that opened a stream attaches it.
//
//   - Context: two sides that both attach a stream can undo what the other one has done.
//   - Decision: both look for the other one; the opener alone opens paths, when a connection is
//     there.
//   - Consequence: a peer behind a NAT comes back by connecting to the opener.
//   - Would change it: nothing that is known.
//
// A limited connection carries a little, and then waits.
//
//   - Context: a stream of 5 MB ended after 262 kB, between two peers that could punch a hole.
//   - Decision: a quarter of the limit at once, the rest after 10 s, which is enough for most
//     holes.
//   - Consequence: messages are not held up, and a file goes over the direct connection.
//   - Would change it: relays that say how much is left.
package resume
