// Package store keeps the records and the provider announcements of a node, and
// what the node has published itself.
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
// [Open] opens the store of a node that is to know after a restart what it knew
// before: a directory on a disk. [Wrap] keeps a store in a go-datastore, for applications
// that have one. [NewMemory] is for nodes that may start empty.
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
// The other stores do likewise. Consequence: the callback may run several times,
// and at least one writer succeeds in every round. What would change our mind: a key so hot, or a
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
//
// The engine of the durable store is bbolt. Context: an engine in pure Go, from a
// module that is well kept, that has acknowledged nothing which is not on the disk.
// Two were measured with the rows of this package, one announcement and its place in
// the index by expiry; 1 000 000 announcements, two shared cores, a disk that takes
// 90 µs to synchronise:
//
//	                                 bbolt 1.5.0    Pebble 2.1.7
//	puts/s, 1 writer                       1 500           3 000
//	puts/s, 64 writers                    14 800         107 000
//	CPU of a put, 64 writers               45 µs            7 µs
//	a miss                                2.0 µs          5.8 µs
//	a hit                                 2.8 µs         10.4 µs
//	opening                                 1 ms          600 ms
//	memory to open                        0.4 MB            3 MB
//	removing 100 that expired, longest    4.7 ms          0.8 ms
//	size on the disk                      532 MB   44 MB (rows that compress)
//	packages (modules) it imports          5 (2)        188 (30)
//	a full disk                         an error    ends the process (by its code)
//
// At 10 000 announcements: 23 000 and 96 000 puts/s, 1.3 and 2.2 µs for a miss.
// Decision: bbolt. We expect a node of the public network to be asked to store some
// hundreds of records a second at most. Both are fast enough, and these three decide: whoever imports this package imports the engine; a full
// disk must be an error that passes; and an engine without goroutines of its own has
// nothing to leak or to fall behind with. Consequence: writes cost more as the file
// grows, the file does not shrink, and a page that is damaged shows only when it is
// used; so each row has a checksum, and faults in the file are caught. What would
// change our mind: a node that has to take more than 10 000 puts a second, or Pebble
// outliving a full disk.
//
// Writers are committed together. Context: the engine has one writer at a time, and
// each commit waits for the disk, twice. Decision: who finds another write under way
// joins the queue, and the next one that gets its turn commits the whole queue;
// there is no timer, and no goroutine. Consequence: a lone writer waits for nobody,
// and 64 get three to seven times as many puts done; an error of the disk fails all
// writes of the commit.
//
// Sweeps are small commits. Context: readers do not wait for a writer, but writers
// do. Decision: a sweep of the durable store removes 32 entries at a time, with
// other writers between. Consequence: 12 000 entries a second at most, many times
// what expires in a store of a million.
//
// What the durable store does, by the benchmarks of this package, values of 300
// bytes and announcements of 150, on the machine from above while others used it
// too:
//
//	                                    10 000 entries    1 000 000 entries
//	puts/s, 1 writer                             2 400                1 500
//	puts/s, 64 writers                          18 000                4 500
//	gets/s, 1 reader                           440 000              270 000
//	announcements/s, 64 writers                 15 000                6 600
//	GET_PROVIDERS, none                         1.3 µs               3.6 µs
//	GET_PROVIDERS, 20 of 256                     61 µs                69 µs
//	opening                              0.2 ms, 0.2 MB       0.4 ms, 0.2 MB
//	memory, in use                                11 MB                17 MB
//	and pages of the file that are mapped         17 MB               516 MB
//	file                                           8 MB               517 MB
//	a writer during a sweep, 99 %                  3 ms                10 ms
//	a reader during a sweep, 99 %                0.5 ms               1.7 ms
//
// A sweep in these figures goes on without a break, and a writer waits for two
// commits: the one that is under way, and its own. Now and then the disk takes
// longer, up to 70 ms in that minute. The mapped pages are the system's to take
// away.
//
// Iteration has no snapshot, and an order of the store's own. Context: republishing
// and handing over go through all that is held, in an hour or in a minute, with
// requests between. Decision: the key of the last entry says where to go on, also
// when it is gone; no state is kept for an iteration. [Memory] is a number of maps,
// chosen by a hash of the key, of which only one is sorted for a batch. Consequence:
// what comes while the iteration goes on may be in it or not. Those who want keys
// near each other sort them by their own distance.
//
// There is no time of publication. Context: a lifetime counts from when the
// publisher last published. Decision: a value has Expires, which whoever stores it
// computes from the lifetime that is left when it arrives, and Received, which says
// when it was last stored here. A third time would have to travel with the record,
// and would be a stranger's clock. Consequence: a lifetime that was shortened stays
// so until the value arrives again. What would change our mind: a rule that needs
// more.
package store
