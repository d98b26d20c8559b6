// Package holder has the values and announcements that a node holds for its network,
// and its own announcements: it accepts them, gives them to requesters, and forgets
// them when they expire.
//
// A [Holder] owns the content of the store. A store updates a value atomically, but has
// no such operation for announcements: 64 locks, one for each stripe of keys, are held
// from the read of an announcement to its write. The quota has a lock of its own.
//
// # Decisions
//
// A set of values is one value of the store.
//
//   - Context: the keys of a Reducer hold several values, each with its own time.
//   - Decision: they are packed into one value.
//   - Consequence: stores need not know sets; a key holds at most 64 KiB of them.
//   - It would change if sets were needed that are larger than one message.
//
// Announcements are signed by the provider, over key, time and network.
//
//   - Context: holders pass announcements on, and addresses are filtered by requester.
//   - Decision: the signature leaves the addresses out. Unsigned announcements are held
//     and not passed on.
//   - Consequence: only the provider can make its announcement, or have it last longer.
//   - It would change if requesters needed proof of the addresses of a provider.
//
// A signature is looked at when its announcement is passed on, and not when it comes from the
// provider itself.
//
//   - Context: to check one takes several times as long as all else that an announcement takes,
//     and the connection proves the sender. One of some 20 holders passes it on, in hours.
//   - Decision: the holder that passes it on checks it, and the one that receives it so.
//   - Consequence: a false signature harms its provider alone, and goes nowhere: the holder
//     that looks at it drops it, and keeps the announcement as one without a signature.
//   - It would change if requesters were given signatures.
//
// A withdrawal is an announcement with a negative lifetime and without addresses.
//
//   - Context: the protocol has no request that takes an announcement back.
//   - Decision: the proof of an announcement says that the earlier ones are withdrawn.
//   - Consequence: other implementations refuse it, because it has no address, and keep
//     what they hold until it expires.
//   - It would change if the spec had such a request.
//
// A full store drops the entry that is farthest from the node.
//
//   - Context: peers can send more than fits, and a refusal keeps near records out.
//   - Decision: an entry that is farther than the new one makes room, up to 64 per
//     write.
//   - Consequence: a write that does not fit even then counts against the quota of its
//     sender, so that a peer cannot empty the store with records that are too large.
//   - It would change if holders agreed on which of them keeps a record.
//
// Far holders keep a record for less.
//
//   - Context: a get leaves copies with peers that its lookup passed.
//   - Decision: beyond the k closest, the lifetime halves with each further closer
//     contact that the table has.
//   - Consequence: copies of popular records do not stay after the demand.
//   - It would change if copies were refreshed by their publisher.
//
// The clock is believed when it has run evenly for an hour.
//
//   - Context: clocks are set by the network after the start, jump, and stop in sleep.
//   - Decision: until then, nothing is removed, and what arrived is moved with a clock that
//     jumps; then, what arrived while the clock was ahead gets its lifetime anew, since the
//     time of its arrival is unknown.
//   - Consequence: a clock that is years off for 50 minutes costs no record. What has expired
//     takes room for up to an hour more. A machine that sleeps in the first hour of a run
//     holds what it was sent in that hour for as much longer.
//   - It would change if the system said whether its clock is right.
package holder
