// Package deliver sends one record or announcement to the peers closest to its key, and
// says in a [Receipt] what became of it.
//
// A [Sender] has no state. A delivery owns its receivers, under a lock of its own, and
// outlives an operation that waits for a quorum only.
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
// ADD_PROVIDER has no answer, and its success is the clean end of the stream.
//
//   - Context: some peers reset the stream without a reason, whatever they have done.
//   - Decision: such a peer is asked for the announcement that it may have stored.
//   - Consequence: the receipt is right, at the price of one request.
//   - It would change if the protocol had an answer for it.
package deliver
