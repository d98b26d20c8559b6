// Package routing is Kademlia without a network: which contacts a node holds, and
// which one it asks next.
//
// Each node has a [Key], and so has each record; the distance of two keys is their
// XOR. The K nodes closest to the key of a record hold it. A node remembers contacts
// at each distance in a [Table]: many close to itself, few far away. To find a key, it
// asks the closest contacts it knows for closer ones, and asks these, until no answer
// names a closer one. That is a [Lookup].
//
// # Purity
//
// Nothing in this package does IO, takes a lock, starts a goroutine, reads a clock or
// draws randomness of its own. Time is an argument, and must not go back. The driver
// that owns a value calls it from one goroutine at a time. The same calls give the same
// results, so that a network of a million nodes can be simulated, and replayed, from a
// seed.
//
// # Use
//
// A [Table] answers what is due: [Table.Due] returns the contacts to probe,
// [Table.Stale] the part of the key space to look up again. Both return when to call
// them again. The driver records what came of its requests with Seen, Failed and
// Checked.
//
// A driver of a [Lookup] calls Next until it returns Wait or Done. On Ask it sends a
// request. On Drop it cancels one, and on Done all that are left. It calls Connected
// when a dial that a request needed has succeeded. On Wait it waits for an answer or a
// failure, which it records with Answered or Failed, or for the time that Next gave,
// and calls Next again. Each request that was not dropped must at last be recorded: if
// no contact at all answers, a lookup waits for all of them. Next may name a contact again that
// has failed, with another Wire.
//
// Beside its table a node keeps [Paces], [Doubts], a [Recall] and [Departed]: what it
// knows of its peers from earlier requests. A lookup starts from SeedFactor times K
// seeds of the table, after the result that Recall has for a key nearby. Doubts.Mark
// and Paces.Expect then describe each of them, Paces.Tune the network. At its end
// Paces.Learn and Recall.Learn take in the result.
//
// # Decisions
//
// Only answers put a contact in the table.
//
//   - Context: a node that merely asks us, or that others name, may be unreachable.
//   - Decision: [Table.Seen] alone adds a contact; [Table.Wants] says which are worth a probe.
//   - Consequence: all contacts handed to others have answered us.
//   - What would change it: probes of strangers as most of the traffic.
//
// A newcomer to a full bucket waits, and the head of the bucket is probed.
//
//   - Context: the paper drops the newcomer if the head is alive, and long-lived nodes stay.
//   - Decision: 10 newcomers wait per bucket, newest first; Due names a challenged head once.
//   - Consequence: a crowd of newcomers costs one probe, instead of one each.
//   - What would change it: churn that is seen to empty buckets of their replacements.
//
// A miss counts when another contact answers.
//
//   - Context: our own connection may be down; one lookup without it emptied the table once.
//   - Decision: we are offline when 8 contacts, or all, have missed and, for 3 s, fewer than a
//     quarter as many have answered.
//   - Consequence: 5 minutes of outage among 1 000 nodes cost no contact, and end within 2.1 s.
//   - What would change it: an operating system that says that the network is gone.
//
// Joining fills buckets, instead of looking up a key in each.
//
//   - Context: a lookup asks known contacts again, 292 requests for 0.95 of the places.
//   - Decision: a [Fill] asks the nodes named in the range of a bucket, three sources at once.
//   - Consequence: 154 requests for all places among 1 000 nodes, in 1.8 s, 2.0 s at most.
//   - What would change it: a network in which few nodes answer strangers.
//
// A slow request frees its slot, and its late answer still counts.
//
//   - Context: a dial of a dead peer takes seconds, and the next contact could be asked.
//   - Decision: a request is slow after the round trip of its contact and 3 to 6 variations.
//   - Consequence: with a fifth dead, a lookup takes 0.4 s; with a constant of 1 s, 1.4 s.
//   - What would change it: round trips that vary more than they do on the Internet.
//
// Far from the target few are asked at once, near it many.
//
//   - Context: far away, an answer only shows the way; near the target, all K must answer.
//   - Decision: half of Alpha beyond rank 4 K; twice Alpha after two answers without progress.
//   - Consequence: 25 requests among 1 000 nodes instead of 29; 276 ms instead of 295 ms.
//   - What would change it: networks of unknown size, in which ranks are unknown.
//
// A lookup goes on until it is confident.
//
//   - Context: answers name nodes that are gone, and leave out the ones that take their place.
//   - Decision: below 0.99, near contacts are asked once more, for the peers in the gaps.
//   - Consequence: a fifth dead, old tables: 0.998 of the closest found, not 0.943, for 43
//     requests.
//   - What would change it: answers that leave out nodes that do not answer.
//
// A peer is believed as far as the contacts that it names answer.
//
//   - Context: invented contacts, each closer to the target, would hold up a lookup for ever.
//   - Decision: 5 unanswered per namer, 5 more with each answer; 8 K requests in all.
//   - Consequence: a liar costs 10 requests; 4 liars among 30 nodes 0.5 s instead of 50 s.
//   - What would change it: honest networks in which lookups end as [Overrun].
//
// One path is the default.
//
//   - Context: 8 disjoint paths reach the closest honest node among a fifth of liars always.
//   - Decision: Paths is 1; it reaches 0.91, and a caller that must be sure sets 8.
//   - Consequence: 336 ms a lookup among honest nodes instead of 414 ms.
//   - What would change it: attacks that are seen.
//
// The result of a lookup is used again for five minutes, and believed for one.
//
//   - Context: the same key, or one near it, is often looked up soon after.
//   - Decision: three contacts of a result of the last minute are asked; if two confirm it, it
//     holds. A result that is likely incomplete is not used.
//   - Consequence: 3 requests and 105 ms; one newcomer or failure, and all are asked. Where a fifth
//     has just died, believed for five minutes, results lacked 2 to 6 % of the closest, and now 1 %.
//   - What would change it: networks whose neighbourhoods change within seconds.
package routing
