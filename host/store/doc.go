// Package store keeps the records and the provider announcements of a node, and
// the publications that the node repeats.
//
// A [Store] holds opaque bytes under opaque keys. It does not validate them, does
// not know the wire format, and reads no clock: the caller says what time it is, and
// when an entry expires. It makes four promises, which package storetest checks on
// any implementation:
//
//   - An entry that has expired is not served, whether or not it was swept yet.
//   - Updates of one value are serialised: no two of them replace the same
//     predecessor, so that the better value wins under concurrent puts, too.
//   - A sweep deletes an entry that has expired, and never the entry that replaced it.
//   - An entry that was accepted is not dropped to make room, unless the caller says so.
//     Beyond a limit, a write is refused with [ErrFull]; [Store.Shed] then removes the
//     farthest entry. The one exception is a key with too many providers: see
//     [Store.AddProvider].
//
// Everything is copied on the way in and on the way out, so that neither side can change
// what the other holds. The Addrs of a list of providers are not copied on the way out: they are
// only to be read.
//
// [Open] opens a store in a directory on a disk, for a node that keeps its records over a
// restart. [Wrap] makes a store of a go-datastore, for applications that have one.
// [NewMemory] is for nodes that may start empty.
//
// # Figures
//
// The durable store, by the benchmarks of this package, with values of 300 bytes and
// announcements of 150. Two cores and the disk were in heavy use by other programs, so that
// the rates are several times lower than those of the engine alone below:
//
//	                                    10 000 entries    1 000 000 entries
//	puts/s, 1 writer                               260                  140
//	puts/s, 64 writers                           2 200                1 200
//	announcements/s, 64 writers                  2 200                1 400
//	GET_PROVIDERS, none                         4.8 µs               6.9 µs
//	GET_PROVIDERS, 20 of 1000                   630 µs               530 µs
//	opening                              0.4 ms, 0.2 MB       0.4 ms, 0.2 MB
//	memory in use                                10 MB                14 MB
//	file of announcements                          8 MB               548 MB
//	file of values                                16 MB               729 MB
//	waits in ms: 50 %, 99 %
//	  a writer, no sweep                         4.4, 33              2.8, 59
//	  a writer during a sweep                    2.7, 13              4.3, 53
//	  a reader, no sweep                        0.4, 7.3             0.4, 5.6
//	  a reader during a sweep                   0.5, 5.4             0.4, 7.6
//
// Besides that memory, the system maps pages of the file, and takes them away when it needs
// the memory. A [Memory] takes 325 MB for a million announcements, of which 152 MB are the
// bytes that count towards its limits.
//
// # Decisions
//
// The time is an argument.
//
//   - Context: most of what a store does is expiry, and a test of a store with a clock of its
//     own has to wait.
//   - Decision: methods take now. The zero time means that nothing counts as expired, which is
//     also how a caller reads entries that have expired and were not swept.
//   - Consequence: a caller that forgets to set now is served expired entries.
//   - It would change with one such bug that the tests of host do not find.
//
// Times are those of the wall clock.
//
//   - Context: a monotonic clock stops while a machine sleeps, and means nothing after a
//     restart.
//   - Decision: a store drops the monotonic reading, so that all stores agree.
//   - Consequence: a wall clock that is set forward has entries expire early.
//   - It would change with a clock that also counts the time of sleep and of restarts.
//
// UpdateValue compares and swaps.
//
//   - Context: its callback runs code of the application, which decides which of two records is
//     better. Under a lock, that code could block all readers, or call the store and deadlock.
//   - Decision: the callback runs without a lock, and again if the value was replaced meanwhile.
//   - Consequence: it may run several times; at least one writer succeeds in each round.
//   - It would change if such rounds showed in a profile; then to a lock for each key.
//
// A full key drops an announcement of the network that has most of them.
//
//   - Context: a key has too many providers because it is popular, or because of a flood. A
//     store that refuses newcomers keeps a flood; one that keeps the peers nearest to the key
//     rewards an attacker that makes IDs near it.
//   - Decision: of the [Provider.Origin] with the most announcements, the one that expires first
//     makes room. One that never expires stays: a node keeps its own so.
//   - Consequence: a flood from one network replaces its own announcements. One from many
//     networks has to go on, and an honest provider is back with its next announcement.
//   - It would change with a measurement of floods.
//
// A full store refuses, and its caller sheds.
//
//   - Context: if a full store only refused, a flood could keep newcomers out for the lifetime
//     of a record. The farthest entry matters least, since nearer nodes hold it; a store does
//     not know the distance.
//   - Decision: at a limit, a write is refused once expired entries are dropped. [Store.Shed]
//     removes the entry farthest from a hash if it is farther than the one that was refused, by
//     the first 8 bytes of the distance. An entry that never expires stays.
//   - Consequence: a flood stays only if it is aimed near the node, and other nodes hold what it
//     replaces. The share of each peer is a matter of package host, which knows the peer.
//   - It would change if floods near a node were seen.
//
// The engine of the durable store is bbolt.
//
//   - Context: two engines in pure Go that lose nothing which they have acknowledged, with
//     1 000 000 announcements on a disk that takes 90 µs to synchronise:
//     bbolt 1.5.0 does 1 500 puts a second with 1 writer and 14 800 with 64, finds an entry in
//     2.8 µs, takes 532 MB, and imports 5 packages; Pebble 2.1.7 does 3 000 and 107 000, takes
//     10.4 µs and 44 MB, and imports 188.
//   - Decision: bbolt. A node of the public network is asked to store some hundreds of records
//     a second at most. A full disk is an error of bbolt, and ends the process with Pebble; and
//     bbolt has no goroutines.
//   - Consequence: writes cost more as the file grows, and the file does not shrink. A damaged
//     page shows only when it is read, so each row has a checksum, and faults are caught.
//   - It would change for a node that takes more than 10 000 puts a second, or if Pebble
//     survived a full disk.
//
// Writers are committed together.
//
//   - Context: the engine has one writer at a time, and each commit waits for the disk, twice.
//   - Decision: a writer that finds a write under way joins a queue, and the next writer that
//     has its turn commits the whole queue. There is no timer, and no goroutine.
//   - Consequence: a lone writer does not wait, and 64 writers do three to seven times as many
//     puts. An error of the disk fails all writes of the commit.
//   - It would change with an engine that commits for several writers itself.
//
// Sweeps are small commits, and join those of writers.
//
//   - Context: writers wait for each other. Entries that expire together are scattered over the
//     file, so that each of them costs three pages.
//   - Decision: a sweep removes 8 entries at a time. Then it rests for as long as that took, 8 ms
//     at most, while its next part is in the queue: a writer that comes commits it, too.
//   - Consequence: a sweep removes some hundreds of entries a second on a slow disk; of a
//     million entries, six expire in a second. Commits of writers are a little larger.
//   - It would change for a disk on which that is not enough.
//
// Iteration goes through the key space, without a snapshot.
//
//   - Context: republishing, replicating and handing over read all that is held, over a minute
//     or an hour, while requests come. One lookup serves many keys that are near each other.
//   - Decision: entries come in the order of the hashes of their keys, from any place on. No
//     state is kept for an iteration. A durable store has its rows in that order; in memory it
//     is a list of sorted blocks.
//   - Consequence: an entry that arrives meanwhile may be in it or not; each request hashes a key.
//   - It would change if a caller needed a snapshot.
//
// There is no time of publication.
//
//   - Context: a lifetime counts from when the publisher last published.
//   - Decision: Expires is computed by the caller from the lifetime that is left, and Received is
//     when the value was last stored here. A third time would be that of another peer's clock.
//   - Consequence: a lifetime that was shortened stays so until the value arrives again.
//   - It would change with a rule that needs more.
package store
