// Package serve answers the requests of other peers: it bounds the streams that are
// served, reads one request after the other, and turns each into one reply.
//
// A [Server] owns the set of streams, under one lock. Each stream is served by the
// goroutine that libp2p has started for it; the Server starts one only to reset a
// stream, which can block while the peer does not read.
//
// # Decisions
//
// A stream may carry any number of requests.
//
//   - Context: we reuse streams for some requests, and other implementations for all or none.
//   - Decision: requests of a stream are answered in order, until it is idle for 1m.
//   - Consequence: a slow request delays only the later ones of its stream.
//   - It would change if the spec allowed one request per stream.
//
// A full server ends a stream to make room for another.
//
//   - Context: one peer, or one with many identities, could hold all streams.
//   - Decision: the network of addresses with the most streams loses the one that has been
//     idle for longest; contacts of the table lose none to strangers. A stream in use is
//     ended only if its network or peer has more than that of the newcomer. A peer has at
//     most 32.
//   - Consequence: while 256 identities hold the 256 streams, of 100 newcomers at least 90
//     are served, where none was.
//   - It would change if libp2p bounded the streams of a protocol in a fair way.
//
// Requests are answered a few at a time, in a fair order.
//
//   - Context: 50 identities that send all the time kept another peer from any answer.
//   - Decision: a few more requests than processors are answered at a time. While others
//     wait, networks of addresses take turns by the time that their answers took, in them
//     smaller networks, and in these peers; contacts of the table have four turns for one.
//   - Consequence: while all wait for a disk, a client with one stream has as much as a network
//     of 50 identities.
//   - It would change if the goroutines of streams had priorities.
//
// Busy networks take half of the processors at most, each an equal part.
//
//   - Context: to read and to write a request takes several times as long as its answer, in the
//     order in which requests come. 50 identities that wait for each answer, at addresses of one
//     network, left another client 0.03 of its requests, although each answer had its turn.
//   - Decision: a network that has used more than some 100 requests a second and processor, while
//     other peers ask, keeps a pace: its requests have a queue of their own, which they leave
//     one after the other, each after the time that the one before it counts with its transport,
//     so many times as its part of the processors says. No network waits for another.
//   - Consequence: a client that asks as fast has half of all answers beside these 50, and one
//     that asks seldom does not wait. While two peers ask at least, the networks that ask much
//     have no more than 10 000 cheap answers a second and processor. On a machine that is busy
//     with other programs that may be more than it can do.
//   - It would change if the transport had an order of its own.
//
// Peers that do not wait for their answers share a fiftieth of the processors.
//
//   - Context: to read and to write a request takes several times as long as its answer.
//   - Decision: their requests keep a pace of their own, and nothing more is read from their
//     streams meanwhile: the transport stops them.
//   - Consequence: a flood of 50 identities leaves a client 0.9 to 1.2 of what a flood of another
//     node on the same processor leaves it, where it was 0.65, and 0.02 without any bound.
//     A burst of 128 announcements waits only beside a flood, of which it has a fair part.
//   - It would change if clients that pipeline became usual.
//
// Large requests and answers share 64 MiB.
//
//   - Context: 256 streams that begin 1 MiB, or do not read 1 MiB, took 256 MiB and more.
//   - Decision: what a frame takes beyond 4 KiB is reserved before it grows, here and in the
//     resource manager. When all is taken, the stream with the most is ended, of the network
//     with the most.
//   - Consequence: 1600 such streams of 50 identities take 75 MiB, and large requests of
//     other peers are served.
//   - It would change if records were stored as they arrive.
//
// A refusal has a reason.
//
//   - Context: a request that is not served ends with the reset of its stream.
//   - Decision: the code of the reset says why.
//   - Consequence: a Receipt of the requester names the reason. Other implementations
//     ignore the code, and their resets have none.
//   - It would change if the protocol had answers that refuse.
package serve
