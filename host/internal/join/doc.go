// Package join enters the network and stays in it: it dials bootstrap peers, introduces
// peers to the table, fills and refreshes buckets, and finds the way back after an outage.
// Its lock guards the join under way and the queue of peers to introduce; when its jobs
// are due belongs to the background loop.
//
// # Decisions
//
// Bootstrap peers are dialled for ever.
//
//   - Context: a seed that restarts knows no peer, and nodes that join through it would
//     make a network of their own.
//   - Decision: a bootstrap peer that is not in the table is dialled now and then, also
//     while the table is full.
//   - Consequence: a dead one costs a dial in 10 minutes.
//   - It would change if seeds kept their tables.
//
// Bootstrap peers are a fallback.
//
//   - Context: all nodes of a network would dial the same few at a restart.
//   - Decision: while there are saved contacts, bootstrap peers are dialled if no peer has
//     answered within a second.
//   - Consequence: a restart is ready after two round trips.
//   - It would change if bootstrap peers were many.
//
// A node with fewer than k contacts looks itself up again after 10 s to 10 m.
//
//   - Context: a node that joined through one that knew no other peer is in no network.
//   - Decision: the lookup is repeated, less and less often, while the table is small.
//   - Consequence: small networks have one lookup more per node and 10 minutes.
//   - It would change if neighbours announced newcomers.
//
// Introductions and checks have the swarm forget failed dials.
//
//   - Context: the swarm refuses to dial a peer for minutes after a failed dial.
//   - Decision: a check dials anew.
//   - Consequence: a node is back 3 s after an outage.
//   - It would change if the swarm forgot failures when the network returns.
package join
