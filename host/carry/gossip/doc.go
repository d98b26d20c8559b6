// Package gossip has topics of go-libp2p-pubsub between peers that are first relayed,
// then direct. The messages of each peer arrive in order, each once, also when
// connections break.
//
//	n, err := gossip.New(host, gossip.Config{})
//	defer n.Close()
//	topic, err := n.Join("/my-app/lobby", gossip.TopicConfig{})
//	err = topic.Publish(ctx, []byte("hello"))
//	for e := range topic.Events() {
//		...
//	}
//
// A [Node] is GossipSub on a host of package carry, which moves its streams from
// relayed to direct connections. A [Topic] adds what pubsub leaves to the application:
//
//   - Messages that are published while no peer is there are kept (TopicConfig.Keep),
//     and sent to the first that comes.
//   - When a peer comes back, the others repeat their last messages: 50 each, or up to 256
//     while they take 32 KiB on the wire. Peers that have received them drop them.
//   - A peer that has joined gets a hello from the others (TopicConfig.Hello).
//
// All peers of a topic need this package: messages carry numbers. Peers are connected
// by the application, for instance with Join of the DHT.
//
// # Limits
//
// A message is lost for a peer
//
//   - if more than 50 newer ones (100, if they are short) were published before its broken
//     connection was replaced,
//   - if it is one of the oldest of more than TopicConfig.Keep that were published while no
//     peer was there,
//   - if the peer is more than 1024 messages behind, or
//   - if the peer has left for good.
//
// A nil error of [Topic.Publish] does not mean that a peer has received the message. Data
// through a relay, and gossip of a few hundred bytes a minute, count against the limits of
// the relay: by default, a relay of the DHT carries 16 MiB an hour for each connection, other
// relays often 128 KiB in 2 minutes. At the limit the connection ends, the peer leaves, and
// can be found again.
//
// # Decisions
//
// Numbers instead of acknowledgements.
//
//   - Context: what was under way when a connection broke is lost or arrives late.
//   - Decision: number the messages of a peer, repeat the last 32 KiB, let receivers drop and
//     sort.
//   - Consequence: no state for each receiver, 10 bytes a message; a gap holds up later messages
//     for 2 s.
//   - Would change it: topics in which 100 messages pass within the seconds of a reconnection.
//
// Flood publishing, one validator.
//
//   - Context: topics here are small, and the first message matters most.
//   - Decision: send to all connected peers at once, and validate in the order of arrival.
//   - Consequence: no wait for the mesh of GossipSub (1 s heartbeat); CPU of one core.
//   - Would change it: topics with hundreds of connected peers.
//
// A tracer that counts.
//
//   - Context: pubsub v0.19.0 drops messages for a peer to which it has no stream yet, and does
//     not report when its queues are empty.
//   - Decision: derive both from the events of its tracer.
//   - Consequence: a peer counts as present when a message will be written to it; Close waits up
//     to 1 s for the queues.
//   - Would change it: pubsub reporting it.
package gossip
