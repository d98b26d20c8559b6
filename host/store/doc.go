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
//   - What was accepted is not thrown out to make room, unless the caller says so.
//     Beyond a limit, a write is refused with [ErrFull]; [Store.Shed] then removes what
//     is farthest. The one exception is a key with too many providers, see below.
//
// Everything is copied on the way in and on the way out: neither side can change
// what the other holds.
//
// [Open] opens the store of a node that is to know after a restart what it knew
// before: a directory on a disk. [Wrap] keeps a store in a go-datastore, for
// applications that have one. [NewMemory] is for nodes that may start empty.
//
// # Decisions
//
// Now is an argument. Context: expiry is the larger part of what a store does,
// and a clock inside can be tested only by waiting. Decision: every method that
// cares takes now; the zero time means that nothing counts as expired. That is
// also how a caller reads what expired but was not swept. Consequence: a caller
// that forgets to set now is served expired entries. What would change our
// mind: one such bug that the tests of host let through.
//
// Times are wall-clock times. Context: a monotonic clock stops while a machine
// sleeps, and means nothing after a restart. Decision: a store drops the
// monotonic reading, so that memory and durable stores agree. Consequence: a
// wall clock that is set forward expires entries early.
//
// UpdateValue compares and swaps. Context: its callback runs code of the
// application (which of two records is better?). Under a lock, that code could
// block every reader, or deadlock by calling the store. Decision: [Memory]
// calls it without a lock and starts over if the value was replaced meanwhile.
// The other stores do likewise. Consequence: the callback may run several
// times, and at least one writer succeeds in every round. What would change our
// mind: a key so hot, or a callback so slow, that rounds show up in a profile;
// then a lock per key.
//
// A flooded key loses the announcement that expires first. Context: a key may
// be over its cap of providers because it is popular or because somebody floods
// it. Refusing the newcomer keeps the peers that announced first, dead or
// alive, and lets a flood that came once hold the key for as long as it renews.
// Keeping the nearest to the key, as some implementations do, rewards whoever
// grinds peer IDs. And the protocol has no answer to an announcement, so that
// most newcomers would not learn that they were refused: nothing acknowledged
// is lost by either rule. Decision: the one that expires first yields, which
// with one lifetime for all is the oldest, the least likely to be still true;
// one that never expires does not yield, which is how a node keeps its own.
// Consequence: a flood has to go on as long as the attack lasts, while an
// honest provider is back with its next announcement; it is not defeated. What
// would change our mind: a measurement of floods, or announcements that carry a
// proof.
//
// Totals refuse, and the caller sheds. Context: as above, but for all keys
// together. A full store that refuses can be denied to newcomers for one
// lifetime by whoever fills it; and of what a node holds, that which is
// farthest from it matters least, because others are nearer. But a store does
// not know what is far from whom. Decision: at the limit on all values, or all
// providers, a write is refused, after what has expired has been dropped.
// [Store.Shed] removes the one entry that is farthest from a hash, if it is
// farther than what was refused; who calls it decides whether, and for whom. It
// goes by the first 8 bytes of the distance: two keys that agree in more bits
// than that are not told apart, and do not need to be. What never expires, as
// what a node keeps of its own does, is not shed. Consequence: a flood has to
// be aimed near the node to stay, and what it pushes out is what others hold
// too. Rationing strangers is the work of the server, which knows who is
// asking. What would change our mind: floods near a node that are seen in
// practice.
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
// Decision: bbolt. We expect a node of the public network to be asked to store
// some hundreds of records a second at most. Both are fast enough, and these
// three decide: whoever imports this package imports the engine; a full disk
// must be an error that passes; and an engine without goroutines of its own has
// nothing to leak or to fall behind with. Consequence: writes cost more as the
// file grows, the file does not shrink, and a page that is damaged shows only
// when it is used; so each row has a checksum, and faults in the file are
// caught. What would change our mind: a node that has to take more than 10 000
// puts a second, or Pebble outliving a full disk.
//
// Writers are committed together. Context: the engine has one writer at a time, and
// each commit waits for the disk, twice. Decision: who finds another write under way
// joins the queue, and the next one that gets its turn commits the whole queue;
// there is no timer, and no goroutine. Consequence: a lone writer waits for nobody,
// and 64 get three to seven times as many puts done; an error of the disk fails all
// writes of the commit.
//
// Sweeps are small commits, and join those of others. Context: readers do not
// wait for a writer, but writers do; and what expires together is scattered
// over the file, so that each entry which goes is three pages to be written.
// Decision: a sweep of the durable store removes 8 entries at a time. It then
// rests for as long as that took, at most 8 ms, while its next part is queued:
// whoever writes meanwhile commits it too. Consequence: a sweep removes some
// hundreds of entries a second on a slow disk, where a store of a million has
// six a second that expire; a writer waits for its own commit, which is a
// little larger, and now and then for one of the sweep before. What would
// change our mind: a disk on which that is not enough.
//
// What the durable store does, by the benchmarks of this package, values of 300
// bytes and announcements of 150. The machine is the one from above, but others
// used it and its disk heavily (a load of 6 to 9 on two cores), so that the
// times and rates are several times worse than those of the engine above:
//
//	                                    10 000 entries    1 000 000 entries
//	puts/s, 1 writer                               260                  140
//	puts/s, 64 writers                           2 200                1 200
//	gets/s, 1 reader                            30 000               78 000
//	announcements/s, 64 writers                  2 200                1 400
//	CPU of one, 1 writer                        340 µs               750 µs
//	CPU of one more for a key with 1000         780 µs             1 080 µs
//	GET_PROVIDERS, none                         4.8 µs               6.9 µs
//	GET_PROVIDERS, 20 of 1000                   630 µs               530 µs
//	opening                              0.4 ms, 0.2 MB       0.4 ms, 0.2 MB
//	memory, in use                                10 MB                14 MB
//	and pages of the file that are mapped         18 MB               543 MB
//	file of announcements                          8 MB               548 MB
//	file of values                                16 MB               729 MB
//	waits in ms: 50 %, 99 %, longest
//	  a writer, no sweep                    4.4, 33, 205         2.8, 59, 611
//	  a writer during a sweep                2.7, 13, 13         4.3, 53, 525
//	  a reader, no sweep                    0.4, 7.3, 52        0.4, 5.6, 137
//	  a reader during a sweep              0.5, 5.4, 7.9        0.4, 7.6, 210
//	  synchronising a page of an idle file  0.2, 8.5, 52         0.2, 5.2, 75
//
// The mapped pages are the system's to take away. A [Memory] takes 325 MB for a
// million announcements, of which 152 MB are the bytes that count.
//
// A sweep in these figures goes on without a break. The longest waits are not
// its doing: a writer that is alone has them as well. That more gets were done
// among a million values than among ten thousand shows how much others took
// meanwhile. In a still busier hour, of 8.2 ms that the median commit of a sweep
// of 32 entries took, 5.6 were its two synchronisations, 1 was the engine's own
// work. With 100 000 entries, runs by turns, the waits of a writer in ms, without
// a sweep and during one, 50 %, 99 %, longest:
//
//	32 at a time, first run     5.5, 48, 110      11, 36, 43
//	8 at a time, first run      2.1, 20, 70       3.6, 21, 105
//	32 at a time, second run    0.6, 10, 37       4.8, 7.6, 27
//	8 at a time, second run     0.5, 1.0, 30      0.6, 2.1, 7.2
//
// So what a sweep adds to the median is less; of the longest, they say nothing.
//
// Iteration has no snapshot, and goes through the key space. Context:
// republishing, replicating and handing over go through all that is held, in an
// hour or in a minute, with requests between; keys that are near each other
// belong to the same nodes, so that one lookup does for all. Decision: entries
// come in the order of the hashes of their keys, and any place is one to go on
// from, also if nothing is held there; no state is kept for an iteration. On
// the disk this is the order of the rows. In memory it is a list of sorted
// blocks, of which a batch reads as much as it returns: maps chosen by the
// first bits of the hash would be of no use, since a node of a large network
// holds keys that all begin as its own does, and strangers can make keys whose
// hashes do. Consequence: what comes while the iteration goes on may be in it
// or not; a key is hashed for each request. Publications have an order of the
// store's own.
//
// There is no time of publication. Context: a lifetime counts from when the
// publisher last published. Decision: a value has Expires, which whoever stores it
// computes from the lifetime that is left when it arrives, and Received, which says
// when it was last stored here. A third time would have to travel with the record,
// and would be a stranger's clock. Consequence: a lifetime that was shortened stays
// so until the value arrives again. What would change our mind: a rule that needs
// more.
package store
