// Package carry moves long streams from relayed to direct connections, without the
// application that writes to them taking part.
//
// A connection through a relay is limited in time and bytes, and libp2p replaces it
// with a direct one when it can punch a hole. A stream stays on the connection where it
// was opened, so a protocol that keeps one stream for hours, such as go-libp2p-pubsub,
// dies with the relay. By default it does not even begin there: pubsub ignores peers
// with only limited connections.
//
// Give such a protocol a [Host] instead of the libp2p host:
//
//	h := carry.New(host, carry.Config{})
//	defer h.Close() // after the protocol, before the host
//	ps, err := pubsub.NewGossipSub(ctx, h)
//
// Both peers need it. A Host shows limited connections as connections, opens streams on
// them, and moves each stream to a direct connection when there is one. Messages keep
// their order, and each arrives once. With a peer that does not have this package,
// streams work, and end with their connection.
//
// What the protocol must do:
//
//   - It has at most one stream to write to for each peer and protocol ID, and the
//     other peer only reads from it: each direction has a stream of its own.
//   - A message has its length in front, as an unsigned varint, and each Write writes
//     whole messages. pubsub, msgio and protoio do so.
//
// Package [github.com/go-kad/kad/host/carry/gossip] builds on it: topics of pubsub
// whose messages also survive a connection that breaks.
//
// # Errors
//
// Streams fail with the errors of libp2p. A connection that breaks before a direct one
// is there ends its streams, as without this package. If it breaks while streams move,
// the protocol opens them again, or Config.Lost is called: the last messages may then be
// missing, and can be sent again.
//
// # Decisions
//
// A host around the host.
//
//   - Context: pubsub takes a libp2p host, and knows nothing of paths.
//   - Decision: embed the host, and replace Network, NewStream and the stream handlers.
//   - Consequence: any protocol can use it with one changed line; the rest of the program sees
//     the plain host.
//   - Would change it: streams of libp2p that migrate by themselves.
//
// A package beside the DHT, and not inside it.
//
//   - Context: the paths come from hole punching, which the DHT starts, but libp2p reports.
//   - Decision: import go-libp2p alone, and no package of this module.
//   - Consequence: it works with any router, and links 500 lines of its own.
//   - Would change it: a path that only the DHT knows of.
//
// The writer moves, between two messages.
//
//   - Context: a stream cannot move in the middle of a message without loss.
//   - Decision: the writer opens a stream on the direct connection, waits until the reader
//     agrees (one byte), closes the old stream, and writes on. The reader reads the old one to
//     its end first.
//   - Consequence: order holds without numbers; a message costs nothing more.
//   - Would change it: protocols whose messages are too long to wait for.
//
// Whole messages only.
//
//   - Context: a relay may end in the middle of a message.
//   - Decision: the reader passes on complete messages, and the writer repeats the one that
//     failed on the next stream.
//   - Consequence: messages need their length in front, and are held in memory
//     (Config.MaxMessage).
//   - Would change it: a use for streams of bytes, with acknowledged offsets.
//
// A peer that begins another stream is greeted again.
//
//   - Context: pubsub forgets the topics of a peer when its own stream to the peer ends, and a
//     peer says them only at the beginning of a stream: one of two stayed deaf.
//   - Decision: Config.Greeting is written on the open stream, since the other peer has
//     forgotten before it begins the next one.
//   - Consequence: no stream or connection is closed for it; 0 of 480 moves left a peer deaf.
//   - Would change it: pubsub keeping what a stream that is still open has said.
//
// No retry beyond the move.
//
//   - Context: a message that was written may be lost in a relay that dies.
//   - Decision: call Config.Lost, instead of keeping and repeating messages here.
//   - Consequence: no buffers; package gossip repeats the last messages of a topic.
//   - Would change it: users that all write the same repetition.
package carry
