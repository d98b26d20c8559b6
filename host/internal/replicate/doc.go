// Package replicate passes on what the node holds: in rounds, to the peers closest to
// each record; to a newcomer, what it should hold; and to the peers that take over, when
// the node leaves.
//
// A [Replicator] owns the progress of the round and the queue of newcomers. Both belong
// to the goroutine of the loop, and to the run that it has started; so there is no lock.
//
// # Decisions
//
// Replication has no schedule.
//
//   - Context: a record is lost when its k holders leave one after the other.
//   - Decision: each node goes through its store once per ReplicateInterval, from a
//     moment of its own, and sends the records that no peer has sent it for so long.
//   - Consequence: one of k holders replicates a record, 1 + 1/(k+1) intervals after it
//     was stored. The store knows when that was, so nothing else is kept, or lost in a
//     restart.
//   - It would change if a due time for each record took no memory.
//
// A holder beyond the k closest keeps its copy.
//
//   - Context: caches, and nodes that were cut off, hold records that others are nearer to;
//     and peers that are nearer may acknowledge a record and drop it.
//   - Decision: it sends the record to the k closest in its first round and every eighth,
//     and keeps its copy until that expires.
//   - Consequence: peers that come nearer to a key cannot erase what was there. A record has
//     some holders more than k while nodes come and go.
//   - It would change if a peer could prove that it holds a record.
//
// A newcomer is a peer that enters the table while we do not join.
//
//   - Context: a node that joins meets all its contacts for the first time.
//   - Decision: peers that enter meanwhile are given nothing.
//   - Consequence: a node that joins does not send all that it holds to all peers.
//   - It would change if a peer said how long it has been in the network.
//
// A contact that connects again is asked for three records that it should hold.
//
//   - Context: a peer that restarts without its store stays in the tables, and is no
//     newcomer: it held 0 of 20 records until the next round.
//   - Decision: the node that would hand its records over asks it, once in 10 minutes at
//     most. If it lacks one, it is handed all of them.
//   - Consequence: it holds them within a minute; one that kept its store costs three
//     requests, and one that lacks a few others is left to the round.
//   - It would change if a peer said whether it has kept its store.
package replicate
