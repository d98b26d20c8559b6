// Package store keeps the records and the provider announcements of a node.
//
// A [Store] holds opaque bytes under opaque keys. It does not validate them, does
// not know the wire format, and reads no clock: whoever calls it says what time
// it is and when an entry expires. That leaves it four promises, which
// package storetest checks on any implementation:
//
//   - What is expired is not served, whether or not it was swept yet.
//   - Updates of one value are serialised: no two of them replace the same
//     predecessor, so "newer supersedes older" holds under concurrent puts too.
//   - A sweep deletes what has expired, and never the entry that replaced it.
//   - What was accepted is not thrown out to make room. Beyond a limit, a write
//     is refused with [ErrFull]. The one exception is a key with too many
//     providers, see below.
//
// Everything is copied on the way in and on the way out: neither side can change
// what the other holds.
//
// [Memory] is the implementation for nodes that may start empty.
//
// # Decisions
//
// Now is an argument. Context: expiry is the larger part of what a store does,
// and a clock inside can be tested only by waiting. Decision: every method that
// cares takes now; the zero time means that nothing counts as expired. That is also how
// a caller reads what expired but was not swept. Consequence: a caller that
// forgets to set now is served expired entries. What would change our mind: one
// such bug that the tests of host let through.
//
// Times are wall-clock times. Context: a monotonic clock stops while a machine
// sleeps, and means nothing after a restart. Decision: a store drops the
// monotonic reading, so that memory and durable stores agree. Consequence: a
// wall clock that is set forward expires entries early.
//
// UpdateValue compares and swaps. Context: its callback runs code of the
// application (which of two records is better?). Under a lock, that code could
// block every reader, or deadlock by calling the store. Decision: [Memory] calls
// it without a lock and starts over if the value was replaced meanwhile.
// Consequence: the callback may run several times, and at least one writer
// succeeds in every round. What would change our mind: a key so hot, or a
// callback so slow, that rounds show up in a profile; then a lock per key.
//
// A flooded key loses the announcement that expires first. Context: a key may be
// over its cap of providers because it is popular or because somebody floods it.
// Refusing the newcomer keeps the peers that announced first, dead or alive, and
// lets a flood that came once hold the key for as long as it renews. Keeping the
// nearest to the key, as some implementations do, rewards whoever grinds peer
// IDs. And the protocol has no answer to an announcement, so that most newcomers
// would not learn that they were refused: nothing acknowledged is lost by either rule.
// Decision: the one that expires first yields, which with one lifetime for all is
// the oldest, the least likely to be still true; one that never expires does not
// yield, which is how a node keeps its own. Consequence: a flood has to go on as long as
// the attack lasts, while an honest provider is back with its next announcement; it is not
// defeated. What would change our mind: a measurement of floods, or
// announcements that carry a proof.
//
// Totals refuse. Context: as above, but for all keys together. Decision: at the
// limit on all values, or all providers, a write is refused, after what has expired has
// been dropped. Consequence: whoever fills the store denies it to newcomers for one
// lifetime, but takes nothing from those who are in it. Rationing
// strangers is the work of the server, which knows who is asking.
//
// Expiry is a heap with positions. Context: a sweep that scans is slow with a
// million entries, and a queue of (time, key) pairs has to tell whether its pair
// is out of date. Decision: an entry knows its place in the heap and leaves it when
// it is replaced. Consequence: there is nothing stale to check, and the next
// expiry is known at any time.
package store
