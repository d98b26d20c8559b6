// Package reach knows whether other peers can dial this host, and decides by that whether
// the node serves. It owns the facts about reachability, the decision, the peers that the
// host has dialled, and the types of its NAT, behind one lock.
//
// # Decisions
//
// Auto mode trusts four signs of being reachable on the public network.
//
//   - Context: the first nodes of a network have no peer that runs AutoNAT.
//   - Decision: the host's own finding wins. Without one, a connection from a stranger on
//     the internet counts, a public address that Config.AppendAnnounce has, and a public
//     IPv4 address of a socket.
//   - Consequence: a host behind a firewall with a public address serves until AutoNAT
//     refutes it.
//   - It would change if AutoNAT answered within seconds everywhere.
//
// A finding that contradicts an earlier one must last.
//
//   - Context: a restarted router, or an overloaded prober, flips the finding; each
//     switch takes the node in or out of the tables of hundreds of peers.
//   - Decision: it must last 15 s; with each switch twice as long, up to 8 minutes.
//   - Consequence: a real change is followed 15 s late.
//   - It would change if switching were free for other peers.
//
// A stranger is a peer that the host did not dial lately.
//
//   - Context: a NAT lets replies in, so a connection from a dialled peer proves nothing.
//   - Decision: dialled peers are remembered for 5 to 10 minutes, as long as routers do.
//   - Consequence: with more than 4 096 dials in that time, no connection counts as proof.
//   - It would change if a connection said which side punched.
package reach
