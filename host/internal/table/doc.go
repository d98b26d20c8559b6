// Package table is the routing table of a node behind its one lock: its contacts, the
// contacts that left it, what requests have shown of peers, and whether the node is ready
// for lookups. It is the only place where what became of a request changes that.
//
// # Decisions
//
// A disconnect is a doubt, no failure.
//
//   - Context: connection managers close connections all the time; peers also die.
//   - Decision: a contact whose connection ended, or that was late, is checked in the
//     background. Until it has answered, lookups wait a tenth as long for it, or twice its
//     mean round trip if that is longer.
//   - Consequence: in a network of 50 hosts of which 15 died, 100 rounds of all operations
//     took 8 s, and 491 s without it. A node that has lost all of its connections finds
//     all of the closest; 0.95 to 0.99 if it waits a tenth for each.
//   - It would change if a disconnect came with a reason.
//
// One answer is no proof of our connection.
//
//   - Context: a neighbour, or a peer on the same machine, answers while all others cannot.
//   - Decision: misses count when a contact has answered for four that have not. If at
//     least 8 have missed and fewer answer for 3 s, the node is offline. After a minute, few
//     answers are believed, unless the requests failed here.
//   - Consequence: of 20 contacts none is lost in 30 s with one survivor. A network that
//     shrinks to one survivor is believed to be that small after 5 to 8 minutes.
//   - It would change if the operating system said that a network is gone.
//
// Contacts that left are remembered for a day.
//
//   - Context: nodes that were cut off together, and whose bootstrap peers are gone, have
//     no other way back.
//   - Decision: up to 256 contacts that left the table are dialled now and then. A restart
//     begins with the saved contacts in their place.
//   - Consequence: a node that only ever knew one dead bootstrap peer still finds no peer:
//     configure several.
//   - It would change if bootstrap peers were found by another way.
//
// A server that has clients and nothing else is the only server of its network.
//
//   - Context: it can serve its clients, and has no peer to store its own records at. A
//     server that has lost its network must not take itself for the only one.
//   - Decision: it has served a client, has no bootstrap peers, has had no contact for as
//     long as contacts are remembered, and joins have found no server for 40 s.
//   - Consequence: it is ready, and stores at itself. One with bootstrap peers that do not
//     answer is not ready, however long that lasts.
//   - It would change if bootstrap peers could say that they have gone for good.
package table
