// Package connect connects to a peer wherever it is: it dials the addresses that are known
// or found, directly and through relays, and waits for a punched hole. It also keeps a host
// behind a NAT ready to be connected to: it renews connections, so that the host knows its
// public addresses, closes those that died with a change of the machine's network, and bounds
// the addresses that a hole is punched to. Relayed peers that seem to be in the same home are
// told the local addresses of the host.
//
// An attempt belongs to the goroutine of its caller; when to renew, and which contacts are
// protected, belong to the background loop: the room needs no lock.
//
// # Decisions
//
// The relays of a peer are tried at the same time.
//
//   - Context: libp2p dials through one relay after the other; where one of two had died
//     silently, that took 30 s and more.
//   - Decision: each relay is asked whether it answers; the swarm is held back from relays
//     that have not answered.
//   - Consequence: a round trip to the relay more where all relays are alive.
//   - It would change if libp2p dialled relays in parallel.
//
// Connections are renewed behind a NAT, two in 3 minutes.
//
//   - Context: QUIC outlives a change of the NAT's address, and no peer then says the new
//     one.
//   - Decision: two idle connections are closed and opened again; at once when a hole could
//     not be punched, which is the one sign of a change.
//   - Consequence: each renewed peer is disconnected for a round trip or two.
//   - It would change if libp2p could open a second connection to a peer.
//
// Relayed peers that are seen at the same public address tell each other where they are.
//
//   - Context: where a home's network drops multicast, two peers in it stayed relayed.
//   - Decision: local addresses go over the relayed connection, to a peer that says that it is
//     seen where this host is; only those in a network of this machine are dialled.
//   - Consequence: connected directly 0.1 s after the relayed connection; a peer that lies about
//     its address learns local ones, as libp2p's identify tells them to any peer.
//   - It would change if relays confirmed the addresses of their clients.
//
// After a change of the machine's addresses, all connections are asked.
//
//   - Context: a chat was deaf for 31 to 39 s after a laptop was moved to another network.
//   - Decision: the addresses are read twice a second; a connection from one that is gone is
//     closed, and the others have 1.5 s to answer; so too after the machine slept.
//   - Consequence: both hear each other again after 2 to 4 s; two wakes of the loop a second.
//   - It would change if all systems told of such a change.
//
// A peer that stays relayed is punched again.
//
//   - Context: libp2p punches when a relayed connection comes in, and never again, and not while
//     a direct connection seems to be open; where an address had just changed, or a peer that
//     had moved came back before its old connection was closed, the two stayed relayed.
//   - Decision: the same end punches when the direct connection has ended, when an address of
//     one of both has changed, and after pauses that double from 5 s to 5 min; it offers the
//     addresses that peers have seen last.
//   - Consequence: direct 3 to 97 s after a router was replaced by one that permits it; a pair
//     that cannot be direct exchanges three messages in 5 min.
//   - It would change if libp2p tried again.
//
// A relayed peer is dialled over TCP in a punch alone.
//
//   - Context: libp2p dials its public addresses for 2 s before it punches. In 3 of 62 runs between
//     two NATs without UDP, the later punches missed each other; most likely by what this left in
//     a router.
//   - Decision: the ranker of dials leaves these addresses out; a punch does not ask it.
//   - Consequence: direct 0.5 s after the relayed connection instead of 2.5 s; a peer behind no NAT
//     that has come through a relay is reached over TCP by a punch, too.
//   - It would change if libp2p did not dial unverified addresses of TCP first.
//
// A connection over QUIC that has become silent is asked.
//
//   - Context: in 1 of 9 moves, the peer that stayed was deaf for 30 s, since nothing told it.
//   - Decision: the counts of packets are compared twice a second; a connection that sends in
//     vain is asked, and closed if it is silent for 3 s, or 0.75 s if there is another one.
//   - Consequence: no traffic while all is well; an outage of more than 3 s closes connections.
//   - It would change if an idle timeout could be set for each connection.
//
// One dial in four prefers TCP, the second one first.
//
//   - Context: a host learns its address on each transport from the peers that it dials.
//   - Decision: dials are counted; a node that knows two peers has learned both addresses.
//   - Consequence: a quarter of the dials connect over TCP, whose connections break when
//     the address changes.
//   - It would change if the choice could depend on the peer: a hash of its address would
//     leave small networks without a peer for one transport.
//
// Contacts are protected from the connection manager, the k closest and three of each bucket.
//
//   - Context: connection managers close the connections that have no tag, and a lookup that
//     dials takes twice as long.
//   - Decision: protection, since tags only order what is closed. It is under a tag of its
//     own, and follows the table once a second.
//   - Consequence: with watermarks 2 and 4, in 30 nodes 100 ms apart, half of the lookups took
//     up to 0.33 s; 0.47 s without it, 0.22 s without a manager.
//   - It would change if connection managers knew how much it costs to connect again.
//
// A lookup is started beside the known addresses, after half a second.
//
//   - Context: a dead address hangs for 5 s, and most known addresses are good.
//   - Decision: the lookup waits 500 ms, and is repeated once if what it found was stale.
//   - Consequence: a peer that has moved costs half a second, and a good address no lookup.
//   - It would change if the peerstore said how old an address is.
package connect
