// Package find has the searches of a node: values, providers and peers. Each runs one
// lookup, collects what its answers hold, and ends it when enough is known. After a get,
// it sends the best value to the holders of a worse one. Its only state is how many gets
// are being corrected; the collector of a search belongs to the goroutine of its caller.
//
// # Decisions
//
// Locate asks two requests of each contact.
//
//   - Context: a server that is not asked for providers does not give them, and the
//     holders of a presence are the peers closest to its ID.
//   - Decision: GET_PROVIDERS and FIND_NODE go out at the same time, in one lookup.
//   - Consequence: one lookup finds a server and a peer behind a NAT; it costs two
//     requests per contact.
//   - It would change if other implementations answered both in one message.
//
// Three witnesses end a search for a peer.
//
//   - Context: one holder may lie, or not have noticed that the peer has moved.
//   - Decision: three of the k closest must give the same certified presence, or have
//     the peer in their tables at the same address.
//   - Consequence: fewer than three liars among the closest end no search early.
//   - It would change if all holders signed what they give.
//
// What FIND_NODE alone names is neither believed at once nor dialled.
//
//   - Context: a peer that is named may be a client that the holder was connected to once.
//   - Decision: such an address is a hint, and comes last.
//   - Consequence: a lookup dials servers only.
//   - It would change if answers said whether a peer serves.
//
// A get corrects in the background.
//
//   - Context: the requester wants the value; holders of a worse value can wait.
//   - Decision: at most 8 gets are being corrected at a time. Further ones are left to
//     the next get.
//   - Consequence: a get returns when its lookup has ended.
//   - It would change if holders synchronized with each other.
package find
