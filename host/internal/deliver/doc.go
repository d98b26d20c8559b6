// Package deliver sends one record or announcement to the peers closest to its key, or many
// of them, and says in a [Receipt] what became of each.
//
// A [Sender] has no state. A delivery owns its receivers, under a lock of its own, and
// outlives an operation that waits for a quorum only. A [Bulk] owns the outcomes of what it
// sends together.
//
// # Decisions
//
// A put begins before its lookup has ended.
//
//   - Context: the last answers of a lookup rarely change its result.
//   - Decision: the record is sent to each peer that is among the k closest with a
//     probability of 0.95, while the lookup goes on.
//   - Consequence: now and then, one more peer than k stores it, and is in the receipt.
//   - It would change if holders refused records that are not theirs.
//
// A put waits for its quorum.
//
//   - Context: one silent peer among the k closest would cost RequestTimeout.
//   - Decision: a put returns when its quorum has stored the record. Without one, that is
//     three quarters of k, and the other peers have as long as answers take.
//   - Consequence: where all peers are well, the receipt is complete. The rest goes on in
//     the background: see [Receipt.Wait].
//   - It would change if late peers could be distinguished from silent ones.
//
// A slow receiver holds no slot.
//
//   - Context: Alpha peers are sent to at a time, and some take as long as a disk does.
//   - Decision: a receiver frees its slot when it has taken as long as answers do.
//   - Consequence: silent receivers do not keep the record from others.
//   - It would change if stores answered before they write.
//
// All records for one peer are sent together.
//
//   - Context: 10 000 announcements among 200 nodes are 1 000 for each node. One by one they
//     take 45 requests each with their lookups, and a stream for each request.
//   - Decision: a peer of this version is sent up to 128 of them in one message, a peer that
//     keeps a stream open 32 in a row, and any other one at a time.
//   - Consequence: 0.22 requests each, or 20.04 where no peer takes many in a message.
//   - It would change if the protocol had a message for many.
//
// ADD_PROVIDER has no answer, and its success is the clean end of the stream.
//
//   - Context: some peers reset the stream without a reason, whatever they have done.
//   - Decision: such a peer is asked for the announcement that it may have stored.
//   - Consequence: the receipt is right, at the price of one request.
//   - It would change if the protocol had an answer for it.
package deliver
