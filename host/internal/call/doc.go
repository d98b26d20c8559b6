// Package call asks one peer: it waits for the turn to dial, dials, sends the request,
// and decides what became of it.
//
// A [Caller] is the only place that decides the [table.Outcome] of a request, and it
// records each one once in the table. The errors of its methods carry the outcome: see
// [OutcomeOf]. [Transport] is the seam to the network, and [Streams] implements it. The dialer
// has one lock, which is held while it asks the host whether a peer is connected, and over no
// IO. The lanes and the idle streams have one each, too.
//
// # Decisions
//
// Streams are reused, by one request at a time.
//
//   - Context: opening and closing a stream costs a server more than most requests do: of
//     99 µs and 386 bytes for a small one, 79 µs and 278 bytes.
//   - Decision: a peer that is asked again within 4 to 8 s has up to 16 idle streams for as
//     long, 256 in all. A request on one that has ended is asked once more, on a new one.
//   - Consequence: 16 lookups at a time cost their server a third of the CPU, 28 to 31 µs of 99.
//     A peer that is asked once, as most are in a large network, keeps no place for us.
//   - It would change if opening a stream cost a server next to nothing.
//
// Dials that hang have a budget.
//
//   - Context: a dial of a dead peer hangs for seconds, and a home router keeps each of
//     them in a small table. A dial that is answered leaves that table, or is a connection.
//   - Decision: Config.MaxDials in flight, of which 200 may hang, and 20 more a second. A
//     dial that is answered, by a connection or a refusal, does not count.
//   - Consequence: cold lookups one after the other take as long as the first one, where
//     all but the first eight waited 1.25 s for their 25 dials.
//   - It would change if routers had room for thousands of dials.
//
// A limit makes a request wait.
//
//   - Context: a peer resets the 33rd stream of a requester, and the host of a node may
//     allow few streams.
//   - Decision: up to 24 requests are under way to a peer, fewer if it refuses for want of
//     room. Others wait, and refused ones are tried again while any find room. A limit of
//     the host bounds all requests in the same way.
//   - Consequence: of 1 000 puts at once between 2 nodes all succeed, where 971 failed.
//   - It would change if peers said how many streams they serve.
//
// Operations take turns to dial, and to enter a lane.
//
//   - Context: one operation may want hundreds of dials, another one dial.
//   - Decision: each [Turn] has a queue, and queues alternate. A request that waits in
//     its queue is not late.
//   - Consequence: without it, 256 lookups at once among 1 000 nodes found 58 % of the
//     closest peers, because they took the dials of each other for dead peers.
//   - It would change if dials needed no budget.
//
// A dial that has no waiter goes on for 0.8 s.
//
//   - Context: the swarm takes a cancelled dial for a failed one, and does not dial the
//     peer again for a while.
//   - Decision: the dial is cancelled 0.8 s after its last waiter has gone.
//   - Consequence: the next operation that finds the peer joins the dial or its connection.
//   - It would change if the swarm distinguished a cancelled dial from a failed one.
//
// A machine that is late has patience.
//
//   - Context: with too little processor time, all answers are late, and a peer that is
//     well seems silent.
//   - Decision: while requests are under way, the background loop measures how late its
//     timer fires: see [tasks.Pulse]. A request, a dial, the end of a request, and a connection
//     that may be dead, have 32 times that in addition, and no more than 5 times their limit.
//   - Consequence: with timers that are late by 1 s, an answer after 30 s counts. On a
//     machine that is well, a limit is as it was set.
//   - It would change if the operating system said how long a goroutine has waited.
//
// Our own failures count against no peer.
//
//   - Context: a node that has no stream, file descriptor, route or host left fails all
//     requests. A peer that has an IPv6 address only looks the same, to one request.
//   - Decision: such a request is tried again for RequestTimeout. Then it is
//     [table.OwnFailure], which costs no contact its place, and may show that we are
//     offline. Without a route it is that only as long as no other peer answers.
//   - Consequence: a lookup in that time is slow, and the table stays as it is.
//   - It would change if libp2p waited for a stream in place of failing.
package call
