// Package stress runs a network of processes under load and under trouble, and counts false
// answers. A false answer is one that says what is not so; an error that says that an
// operation did not succeed is none, and is counted apart.
//
// The nodes are processes of examples/node, except two that run in this process. Many
// operations of all kinds are under way at a time, through all nodes that run. Meanwhile,
// nodes are killed and started again, with and without what they had stored, stopped and
// continued, and ended as they should be. A few nodes are hampered from the beginning: see
// the roles. What was written is in a ledger, with who acknowledged it, and so is when each
// process ran. Each answer is compared with it.
//
// # What is false
//
// Times are those of this process. A peer is steady during an operation if its process has run
// since 10 s before it to its end, and was not stopped in that time. A peer still holds what
// it acknowledged if it is steady, and has not lost its memory in between: a peer with a
// directory does not lose it. A write is firm if it was acknowledged before the operation
// began, by at least half of the peers that its receipt wanted, at least half of the peers that
// stored it still hold it, and it was not withdrawn.
//
//   - get: "not found" while a put of the key is firm; a value that was never put under the
//     key, or is damaged; a value that is older than a firm put.
//   - providers, discover: an end without a provider and without an error while the
//     announcement of another peer is firm; a peer that has never announced the content.
//   - put, announce, advertise: a receipt that names a peer that did not exist, or could not
//     answer, since its process did not run at any time of the operation, or was stopped
//     throughout; a receipt that wants less than half of the peers that it could have,
//     which are k, or all other steady servers if they are fewer; the refusal of a value as
//     old while no newer one was put.
//   - stored: some of the peers that a receipt names are asked at once. A peer that was
//     steady, answers, and lacks the record, or has an older value, makes the receipt false.
//   - find: "not found" for a peer that has been steady for another 20 s; addresses of a steady
//     peer of which none is one at which it listens; addresses of a peer that never was.
//   - closest: peers that never were, or whose process has not run for 5 min, the node itself, a
//     peer twice, more than k, a wrong order; of a list of k, fewer than half of the steady
//     servers that belong in it; of a shorter one, fewer than half of k, or of the steady servers
//     if they are fewer: it has the peers that have answered, and these are more than half.
//   - ping: an answer of a peer that did not run at any time of the operation.
//   - withdrawn: a node that has acknowledged that it provides a content no more is asked at once,
//     and answers that it does.
//
// # What is counted
//
// Errors, by what they say: unanswered (too few peers answered), not stored, refused, not ready,
// late (the timeout passed), gone (the node was killed meanwhile), other. And answers that are
// short, which contracts allow: a list of providers that lacks one whose announcement is firm,
// a list of closest peers that lacks a steady server that belongs in it.
//
// # Clocks
//
// Unless a run is given a program, it builds one with another time.Now, which reads an offset in
// the environment: see clock.go. The offset is at most 50 min: beyond an hour, libp2p takes the
// certificates of TLS and QUIC for not yet valid, and nothing connects.
package stress
