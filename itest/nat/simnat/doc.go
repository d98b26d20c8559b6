// Package simnat is an internet with address translation, in process and in
// virtual time, on which real libp2p hosts run over QUIC.
//
// A [Net] carries packets between public addresses, with a latency for each pair
// of them. A [Link] is where one machine is plugged in: at a public address, or
// behind a [NAT], which has one public address and translates. What a NAT does with
// ports and with packets that nobody asked for is its [Flavour]. [Link.Transport]
// is the option that puts a libp2p host there.
//
// Use it in a testing/synctest bubble: outside of one, latencies are waited for.
// Close all hosts, then the Net, before the bubble ends.
//
// What cannot be reached is silent, as behind real NATs: a packet to an address
// that nobody has, to a NAT that does not let it in, or to a Link without a plug is
// dropped. There are no ICMP messages, no loss, no limit of bandwidth, no TCP.
//
// # Decisions
//
// Two dependences make a flavour. RFC 4787 describes mapping and filtering with the
// same three words, and names such as "symmetric" or "cone" are pairs of them. So
// there is one code path, which asks what part of the remote address counts.
//
// Latency belongs to a pair of addresses, and is a hash of the seed and both. Then
// it does not depend on who sends first, and packets of one pair keep their order.
// Nothing else is drawn but the ports of address-dependent mappings, which follow
// from the seed and the address of the NAT.
//
// The router is that of simnet, one goroutine with a heap of packets. Mappings are
// nodes of it, at their outside address: a packet to itself that comes back through
// the NAT (a hairpin) needs no code of its own, and is filtered as any other.
package simnat
