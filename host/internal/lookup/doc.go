// Package lookup runs lookups: it asks the contacts that a [routing.Lookup] names, and
// feeds their answers to it.
//
// An [Engine] prepares a [Search]. One goroutine runs it and touches the routing.Lookup;
// each request runs in a task. The engine owns what lookups have found lately
// (routing.Recall), and its lock is held for one call of that, never over IO. A [Survey]
// finds the closest peers of many keys with fewer lookups than keys.
//
// # Decisions
//
// Results are remembered for 5 minutes, and asked again.
//
//   - Context: a second lookup of a key, or of one nearby, takes the same way again.
//   - Decision: it starts from the earlier result. A search for peers takes three answers
//     as a confirmation of it, if it is less than a minute old; a search for records asks all
//     of them, because each may hold something else.
//   - Consequence: a second ClosestPeers takes 3 requests in place of about 40. The memory
//     is at most 256 results, 1 MB with addresses.
//   - It would change if peers came and went within minutes.
//
// A put sends at once to the peers that were found in the last minute.
//
//   - Context: the lookup of a put costs more than the put.
//   - Decision: if all of the remembered peers are connected, the record is sent to them
//     without a lookup. If one of them does not store it, there is a lookup.
//   - Consequence: a peer that has gone shows by not storing the record.
//   - It would change if a closer peer came into most networks within a minute.
//
// Requests that are under way when a lookup has ended go on for a second.
//
//   - Context: a late answer is the only sign that a peer is slow and not gone.
//   - Decision: no lookup waits for it, and the request ends after 1 s. A lookup that is
//     cancelled ends its requests at once.
//   - Consequence: a slow peer costs the next lookup what is expected of it. With
//     RequestTimeout in place of 1 s, silent peers held ten times as many goroutines.
//   - It would change if peers said how busy they are.
//
// A lookup has one path unless the operation asks for more.
//
//   - Context: disjoint paths help against peers that name accomplices.
//   - Decision: one path; the option Paths of an operation sets more.
//   - Consequence: where a fifth of 10 000 nodes lie next to the key, one path or two reach
//     the honest peer closest to it in 92 % of lookups, four in 97 %, eight always. Eight
//     take 58 requests in place of 42, and twice the time.
//   - It would change if liars were common.
//
// Keys that are near each other share lookups.
//
//   - Context: a node that publishes its records again, or passes on the ones that it
//     holds, needs the k closest peers of thousands of keys.
//   - Decision: a survey looks up random keys of a part of the key space, and keeps what
//     they show ([routing.Region]) for 5 minutes.
//   - Consequence: two lookups show the closest peers of all keys in a part of the key
//     space that has about k peers.
//   - It would change if peers could be asked for all peers of a region.
//
// A lookup that could not ask all peers teaches nothing.
//
//   - Context: without a stream or file descriptor left here, requests fail by our fault.
//   - Decision: the result counts such peers as Unasked, and is not remembered.
//   - Consequence: the next lookup starts from the table.
//   - It would change if such requests were repeated within the lookup.
//
// Few lookups are under way on a machine that is late.
//
//   - Context: 4 000 lookups that begin at once have 40 000 requests under way, and all of them
//     are late where there is too little processor time.
//   - Decision: 16 lookups may be under way, the others wait. The number doubles every 20 ms
//     while timers fire in time, and is halved, down to 4, while they are late.
//   - Consequence: a burst of 1 000 lookups has all of them under way after 0.12 s where the
//     machine keeps up.
//   - It would change if a lookup took little processor time.
package lookup
