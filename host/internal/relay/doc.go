// Package relay finds the relays through which a node behind a NAT is reached, proposes
// them to AutoRelay, and checks them; and it runs the relay that the node is for other
// peers. Its lock guards what is known of relays; when its jobs are due belongs to the
// background loop.
//
// # Decisions
//
// The source waits, and AutoRelay does not.
//
//   - Context: AutoRelay picks at random among what it has, and reserves nothing while it
//     collects.
//   - Decision: the source yields what is missing to two reservations, and nothing else.
//   - Consequence: the order of preference is ours, and a lost relay is replaced within a
//     second.
//   - It would change if AutoRelay took an order.
//
// All announced relays are collected before one is checked.
//
//   - Context: liars can announce to relay by the hundred.
//   - Decision: a random order takes their networks by turns; a peer that does not relay is
//     skipped for 5 minutes.
//   - Consequence: it costs some 100 ms more than checking them as they come.
//   - It would change if announcements of relays were verified.
//
// The node runs the relay service, not libp2p.
//
//   - Context: libp2p waits for AutoNAT, and the first node of a network has no peer to run
//     it.
//   - Decision: Config.OfferRelay starts the service while the node can be dialled.
//   - Consequence: only a node that was told so announces itself, for 30 minutes at a time.
//   - It would change if libp2p took our finding.
//
// Held relays are asked every 5 s.
//
//   - Context: QUIC takes half a minute to miss a dead relay; meanwhile the node cannot be
//     reached.
//   - Decision: a relay that is silent twice is given up, while another peer answers.
//   - Consequence: two small streams in 5 s; an outage of our own costs no reservation.
//   - It would change on phones.
//
// A held relay is given up for a much nearer one.
//
//   - Context: the first relays that a node meets are held until they end, and each packet of a
//     relayed peer goes there and back.
//   - Decision: every 5 minutes, if a connected relay is less than half as far, and 40 ms
//     nearer, the connection to the farther one is closed; not while it is in use.
//   - Consequence: no traffic; the node is reached through its other relay for about a second.
//   - It would change if AutoRelay could be told to give a reservation back.
package relay
