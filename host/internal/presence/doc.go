// Package presence keeps the addresses of a node that does not serve with the k peers
// closest to its ID: a provider record under its own ID. A node that serves needs none,
// since it is in the tables of its neighbours. The room owns the set of peers that may
// hold the presence, behind its lock, and when to announce, in the background loop.
//
// # Decisions
//
// A presence is a provider record.
//
//   - Context: every server of any implementation stores and returns provider records,
//     with addresses.
//   - Decision: the record stands under the node's own ID, and lasts for an hour.
//   - Consequence: a peer that disappears is not found for longer; holders of other
//     implementations keep it for up to 24h.
//   - It would change if the protocol had a request for it.
//
// It is announced at once after a change, and the pauses double.
//
//   - Context: addresses change several at a time, and some keep changing.
//   - Decision: the pause after a change doubles from 1s to 60s while changes go on. An
//     announcement of outdated addresses is interrupted.
//   - Consequence: a change is announced within a second; unstable addresses cost the
//     holders one request a minute.
//   - It would change if the host announced when its addresses are stable.
//
// Addresses are certified with the signed peer record of libp2p.
//
//   - Context: holders could lie about addresses.
//   - Decision: the record has only the addresses that reach farthest, since it cannot be
//     given in part. Its sequence number is its age.
//   - Consequence: any libp2p node can verify it.
//   - It would change if a record could be signed by address.
//
// Contacts that enter later are sent it after 10s.
//
//   - Context: half of a small network was late when a client first looked for it, and
//     received the presence only with the renewal, 25 minutes later.
//   - Decision: when a contact enters the table, neighbours without the presence get it.
//   - Consequence: at most one more round of requests for each 10s in which contacts enter.
//   - It would change if lookups missed no late peer.
package presence
