// Package protocol is the wire layer of the Kademlia DHT of libp2p: bytes to
// typed messages and back, compatible with /ipfs/kad/1.0.0. It knows no streams
// and no host, has no state, and is safe for concurrent use.
//
// # Frames
//
// A stream carries frames in both directions. A request is one frame, and so is
// its response; ADD_PROVIDER has none.
//
//	+--------------------------+------------------------------+
//	| length: unsigned varint, | message: protobuf,           |
//	| 1 to 4 bytes             | length bytes, at most 4 MiB  |
//	+--------------------------+------------------------------+
//
// The shortest request, PING, is 02 08 05: two bytes, field 1 is 5.
//
// # Messages
//
// Requests and responses are the same protobuf message; its schema is in
// package pb. A response repeats the type of its request.
//
//	no.   field            in the request of          in the response to
//	1     type             all; absent is PUT_VALUE   all
//	2     key              all but PING               all but FIND_NODE and PING
//	3     record           PUT_VALUE                  PUT_VALUE (an echo), GET_VALUE
//	8     closerPeers                                 FIND_NODE, GET_VALUE, GET_PROVIDERS
//	9     providerPeers    ADD_PROVIDER               GET_PROVIDERS
//	10    clusterLevelRaw  not written, not read
//	1001  moreRecords      PUT_VALUE                  GET_VALUE
//	1002  proof            ADD_PROVIDER
//
//	Peer    1 id, 2 addrs (each a multiaddr, in bytes), 3 connection,
//	        1003 certified (a signed peer record in its envelope)
//	Record  1 key, 2 value, 5 timeReceived (RFC 3339), 666 publisher,
//	        777 ttl (the seconds until it expires)
//
// Fields 1001 to 1003 are ours, and those of a record from 666 on are of
// rust-libp2p; the specification has neither. Who does not know them ignores
// them, and loses nothing but what they say.
//
// Fields may come in any order; unknown ones are ignored. A request that breaks
// a rule is refused as a whole, with an error that wraps [ErrMalformed] or
// [ErrTooLarge]. A response is for its reader to use: an entry of it that is
// malformed is left out, and the others count.
//
// # Decisions
//
// Messages are read and written with protowire, not with generated code.
// Context: proto.Unmarshal allocates for every entry before anyone can count
// them, over 60 bytes for each byte of a hostile message. Decision: the limits
// are applied to the bytes, and what is over them is never allocated.
// Consequence: some hundred lines of our own, held to the generated code by
// differential tests. What would change our mind: a protobuf decoder with
// limits.
//
// Nothing that was read refers to the bytes it was read from. Context: a slice
// of ten bytes kept from a frame of 4 MiB keeps the frame. Decision: copy.
// Consequence: one small allocation per key, and buffers can be reused. What
// would change our mind: a profile with these copies in it.
//
// Bad entries are skipped on reading and never written. Context: js-libp2p
// loses an answer over one undecodable address or ID. Decision: addresses are
// decoded both ways; IDs have one of the three forms that the specification has
// for them. Consequence: writing costs a decode per address, which
// [EncodedPeer] takes out of the way of answers. What would change our mind: a
// new kind of key for peer IDs.
//
// "/p2p/" and the peer's own ID at the end of an address is removed, and an
// address that ends in another ID is not an address of that peer. Context:
// js-libp2p adds the ID, Go does not, and a foreign one would have us dial a
// third peer. Consequence: one form for each address, so that duplicates show.
// What would change our mind: addresses that mean something with another ID.
//
// clusterLevelRaw is not written. Context: Go writes 1, and takes its absence
// for the same; JavaScript repeats what it was sent. Decision: the
// specification calls it unused. Consequence: two bytes less. What would change
// our mind: an implementation that refuses its absence; none of the recorded
// ones does.
//
// An empty key is refused in every request. Context: for FIND_NODE, js-libp2p
// answers it, Go resets the stream. Decision: as Go. Consequence: a mistake in
// a client shows. What would change our mind: a use for it.
//
// A record under another key than the requested one fails the whole response,
// though its closer peers may be fine. Context: only a broken or a malicious
// peer sends one. Consequence: the lookup treats it as failed, and does not
// follow its peers. What would change our mind: an implementation that leaves
// the key out of its records.
//
// The records beside the best one are in a field of their own. Context: record
// comes once, and merges if it comes twice, so that a reader would see parts of
// several. Decision: moreRecords, of the same type, without their key, which is
// that of the message; they share MaxValue with the best one. Consequence:
// others see one valid record, and a message of one record is as it was, byte
// by byte. A server that does not know the field acknowledges a PUT_VALUE of
// which it keeps the best record alone. What would change our mind: a
// specification of sets.
//
// What shows that an announcement is genuine is opaque here. Context: a holder
// that hands an announcement over is not its provider, and a stranger's word is
// no announcement. Decision: up to MaxProof bytes beside the first of the
// providers; package host makes and checks them. Consequence: others ignore
// them, and refuse what does not come from the provider itself. What would
// change our mind: a signature over key and time in the specification.
//
// What is certified stands before the addresses of a peer. Context: the message of
// a peer with fewer addresses is to be a prefix of that with more, so that answers
// are made of copies. Decision: id, certified, addrs; up to MaxCertified bytes, which
// count towards the limits of peers, and which package host makes and checks.
// Consequence: one who may not see all that is certified needs a message of their
// own. What would change our mind: a field of the specification.
//
// The least TTL that is written is one second. Context: seconds are whole, and 0
// says nothing about the lifetime: a record in its last moments would be kept
// for as long as its new holder keeps records. Decision: round down, but not to
// 0, and write 1 for a time that is over, too. Consequence: a record may live a
// second longer for each time that it is passed on at its very end; better not
// to send it then. What would change our mind: a TTL in smaller units.
//
// Limits are constants. Context: they protect a node from strangers, on whose
// choice of network they do not depend. Consequence: there is one place to read
// them, limits.go. What would change our mind: a network whose values are
// larger.
package protocol
