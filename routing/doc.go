// Package routing is Kademlia without a network: whom a node knows, and whom it
// asks next.
//
// Each node has a [Key], and so has each record; the distance of two keys is
// their XOR. Records are kept by the K nodes closest to them. A node remembers
// some contacts at each distance in a [Table]: many close to itself, few far
// away. Whoever looks for a key asks the closest contacts it knows for closer
// ones, and again those, until nobody names a closer one. That is a [Lookup].
//
// # Purity
//
// Nothing in this package does IO, takes a lock, starts a goroutine, reads a
// clock or draws randomness of its own. Time is an argument, and must not go
// back; whoever owns a Table or a Lookup calls it from one goroutine at a time.
// The same calls give the same results, so that a network of a million nodes
// can be simulated, and replayed, from a seed.
//
// Two questions make up the API. "What is due?" is [Table.Due] and
// [Table.Stale]; "whom do I ask next?" is [Lookup.Next]. Both say when to call
// them again, and what came of it is told with Seen, Failed, Answered.
//
// A driver of a lookup calls Next until it says Wait or Done. On Ask it sends a
// request; on Drop it cancels one, and on Done all that are left. It says when a
// dial that a request needed has succeeded, with Connected. On Wait it waits for
// an answer or a failure, which it reports, or for the time that Next gave, and
// calls Next again. Each request that is not dropped must at last be reported as
// answered or failed: if nobody at all answers, a lookup waits for them.
//
// # Decisions
//
// Only answers put a contact in the table. A node that merely asks us, or that
// others name, may not be reachable. So all contacts are verified, and none
// handed to others is not; [Table.Wants] says who is worth a probe. We would
// change this if probing strangers were most of the traffic.
//
// Newcomers queue, heads are probed. The paper drops the newcomer to a full
// bucket whose head is alive; with its section 4.1 it stays as a replacement. We
// keep 10 per bucket, newest first, and each makes Due name the head at most
// once: a crowd of newcomers costs one probe, not one each. Measurements of
// churn that empties buckets of their replacements would change the 10.
//
// A head is evicted only after it was probed. Its clock starts in Due, not in
// Seen. A node that was asleep for a day finds its table as it was, and asks.
//
// Steady contacts are probed less. The interval doubles up to 8 times ProbeAfter
// with each probe answered, for the longer a node has been up, the longer it
// stays. A lookup asks the close ones more often anyway. Lookups that meet many
// dead contacts would make us lower the 8.
//
// A contact that moves to a Group at its limit is removed. If it stayed, nodes
// could enter from many networks and gather in one. Others are pending, mostly;
// a node that changes address is back as soon as it answers and there is room.
//
// Buckets are walked in distance order. The bits of the distance from us to the
// target say in which order buckets are to be taken, so that Closest ranks two
// or three buckets and never the table: 1.1 µs and 1 allocation for 21 of 244
// contacts. A trie would be the alternative if tables grew to many thousands.
//
// No table of preimages. Preimage searches for 15 bits of prefix, some 6 ms of
// hashing once per refresh of the deepest bucket, where others ship a table of
// precomputed ones. Refreshing deeper than [MaxRefreshCPL] would change that.
//
// A miss counts when somebody else answers. Until then it may be us: with a verdict
// at each failure, one lookup without the uplink emptied the table. A third of the
// score is lost with a miss, so that who has answered 8 times is lost with the fifth
// in a row. Idle tables keep suspects for longer; nobody is told of them.
//
// We are offline if 8 contacts missed, or all, and for 3s nobody answered, though
// witnesses were asked. An outage of 5 minutes under constant lookups costs no
// contact among 1 000 nodes, and is over after 1.0s, 2.1s at most. Before, nobody was
// left, and it took 23s. A node whose neighbours in a local network answer does not
// notice that it lost its uplink.
//
// Due looks at all contacts only when something may be due. It did at each call, a
// tenth of the time of long runs.
//
// Joining fills buckets, and looks up no key in each. A lookup asks again whom we
// know: 292 requests among 1 000 nodes for 0.95 of the places, now 154 for all of
// them, in 1.8s, 2.0s at most. With names from one source alone and one answer
// after the other it took 3.0s; three are asked at once.
//
// Half of the places of a far bucket may go by round trip, to who is twice as near as
// the slowest. All of them would be an invitation to whoever is near us.
//
// Refresh stops 2 CPLs after a gap. Where one prefix of our key has no nodes, a lookup
// deeper finds the same neighbours as that of our own key does. A deliberately
// sparse network, with keys that are no hashes, would change it.
//
// Paths share candidates by pointer. The other paths learn that a contact
// answered, not whom it named, and that needs no bookkeeping. With honest nodes
// the result is that of a plain lookup.
//
// A contact is claimed by the path that asks it, not by the one that hears of
// it: a lookup among 300 nodes takes 27 requests with 8 paths, as with one. By
// hearing, paths would ask for what others have been told already. A proof that
// it weakens disjointness would change it.
//
// A slow request frees its slot, and its late answer still counts. Nobody waits
// for a slow contact at the end, except if there is nothing else to return, or if
// most are slow: then it is we who are. When it is slow, the contact says: a round
// trip and its variation, not a constant; four variations, as TCP has it, three where
// many fail, and six where hardly anybody does. Three save 26 ms where a fifth is dead or
// silent; where all are well, they would cost one of the closest in one lookup of 300,
// and four in one of 1 500.
// Where a fifth is dead that is 0.4s a lookup; with a SlowAfter of 1s, 1.4s. A
// dial and its answer are each given that time, or who is dead would be awaited
// for both: 0.5s.
//
// At most twice Alpha are in flight, late ones included. One more drops whoever
// has been slow for longest. Dials of the dead hang for seconds; to wait for one
// would stall; without a bound, 39 were in flight where two fifths are dead.
//
// Far from the target half as many are asked. Beyond rank 4 K an answer shows the
// way only, and the first few show it: 25 requests among 1 000 nodes, not 29, and
// no more time. What is far follows from the size of the network.
//
// All of the closest are asked after two answers in a row that brought nobody
// closer, not after a round of Alpha: 276 ms, not 295, for half a request. To ask
// them when the confidence is high was 293 ms, and one rule more.
//
// Where most are connected, those who are not are likely gone. They hold no slot,
// and the next ones are asked at once; they are awaited. To ask them first, as they
// take longest, ends a lookup sooner where a fifth is dead, in 362 ms, not 419, and
// finds less, 0.990, not 0.995, with 2 requests more: not done. A network in which
// most that are well are not connected does not meet that rule.
//
// A lookup goes on until it is confident, and never ends before the closest have
// answered, since a result holds only those that did. Who answers names the K
// closest it knows, gone ones too, so that those who take their place are named only
// by who does not know all that are near. All that such lookups miss nobody has named.
// So 0.2 K more are asked of the next ones, and 0.2 K of those who are just too far
// to know all: the accuracy is 0.992, not 0.985, where a fifth is silent, 0.996, not
// 0.984, where a fifth is dead, and 0.980, not 0.945, with two fifths. With 0.4 K of
// the next ones alone, for as many requests, it was 0.988, 0.994 and 0.974.
//
// Confidence counts answers. A node at a distance is known to whoever is near, if
// its bucket there is not full; one in ten would not name it, say. Over lookups
// where a fifth is dead it was 0.69, and 0.79 of them found all. The density of the
// result alone would tell little: 20 found where 20 are expected may lack 4.
//
// Recent contacts are checked by three requests, two of which must answer: 105 ms
// where three would be 124. One newcomer among the closest, or one that is gone,
// and all are asked: in a network that changes so fast others will have, too.
//
// One path is the default. Where a fifth of 10 000 nodes lie, naming each other,
// one path finds all, as 8 do; where they name Sybils closer than anybody, the
// closest honest node is reached by 0.91 of lookups with 1 path, 0.93 with 2, 0.95
// with 4 and all with 8. Among honest nodes 1, 2, 4, 8 paths take 336, 352, 386,
// 414 ms and 29.2, 29.4, 29.1, 31.2 requests; among liars who name each other 346,
// 364, 492, 747 ms. Attacks that are seen would make 8 the default.
//
// Doubtful contacts are asked. Who lately failed may be back, and to leave it out
// would be a false "not found"; but it has a tenth of SlowAfter. If many that are
// back take longer than that, the tenth would change.
//
// Peers are believed as far as their names answer. The word of a peer is good for
// 5 unanswered requests at a time, and for 5 more with each that answered. If
// those fail, 5 more are asked with little patience, and then none: a liar costs
// 10 requests, and 4 liars among 30 honest nodes 0.5s where 0.2s are expected, 6.4s
// with a SlowAfter of 5s, not 50s. Who is named by several is asked on the best
// word, so that a liar harms nobody by naming him. Liars whose friends answer get
// more; then paths help. That names on an unproven word gave up their slots after a
// tenth of SlowAfter is gone: what is expected of a stranger is as little.
//
// A lookup asks at most 8 times K contacts, whoever names them. Honest networks
// need 1.4 times K. A network that ends lookups as Overrun would change the 8.
//
// Progress is a contact among the K closest, not only a new closest one. The
// paper widens to k requests when a round brings nobody closer than the closest;
// near the end that is nearly always so, and the slots would be twice Alpha in all
// but the first rounds.
//
// A request that the lookup no longer needs keeps its slot, until it is answered
// or slow, so that Alpha is what bounds the load we cause.
//
// A cached record loses half of its lifetime for each node beyond K that is closer
// to its key. Nodes count in the table: it holds few that are far, but all that are
// near are likely to be there, and those are the ones that matter. One that never
// expires is cached as if for 48 h, for nobody would ever take the copy back.
//
// Changes are of the last call, not of a queue. The owner reads them under the lock
// under which it made the call, and copies what it wants; a queue that nobody reads
// would need a limit, and a callback would run inside the table.
//
// Hand-over asks who is closest, not who is nearly. If the closest node fails to
// send a record to the newcomer, nobody does until the next replication; that the
// second closest sends too would double the traffic of each join.
//
// A Region holds what is proved, not what is likely. A lookup proves that nobody is
// as close to its target as the last of its result, and the prefixes that this
// leaves known overlap and add up. Among 1000 nodes with K = 20, any number of keys
// takes 71 to 77 lookups, and few keys no more than one each. With K = 1 a lookup
// proves next to nothing, and nearly each key takes its own.
//
// A Region looks into the widest prefix that had no lookup, not into the gap that
// stopped it. In that network both take as many lookups, but the gaps take 800 to
// 15 000 hashes for each, and the prefixes 27 at most. Beyond 20 bits, where there
// are only nodes that crowd together, it asks for the key.
package routing
