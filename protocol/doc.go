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
// Fields 1001 to 1003 are ours. The fields of a record from 666 on are of rust-libp2p. The
// specification has neither, and other implementations ignore them without harm.
// clusterLevelRaw is unused: Go writes 1 and takes its absence for the same,
// JavaScript repeats the number that it was sent.
//
// Fields may come in any order; unknown ones are ignored. A request that breaks
// a rule is refused as a whole, with an error that wraps [ErrMalformed] or
// [ErrTooLarge]. Of a response, only the malformed entries are left out.
//
// # Many requests in one message
//
// Peers of this implementation also serve a protocol of their own, /kad/many/1.0.0 after the
// name of the network, which carries frames in the same way. Its request has 1 to [MaxMany]
// messages of PUT_VALUE and ADD_PROVIDER, and its response has one code for each of them: 0
// if it was served, else the code with which a stream is reset that brings it alone. Each
// has the limits that it has alone, and all together have those of one frame.
//
//	Many      1 requests (Message, repeated)
//	Outcomes  1 codes (uint32, repeated, packed)
//
// A requester learns from identify which peers serve it, and sends others what they know.
// See [AppendManyFrame], [SplitMany], [AppendOutcomesFrame] and [ParseOutcomes].
//
// # Use
//
// A client writes [AppendRequestFrame], reads [ReadFrame] and calls [ParseResponse]
// with its request. A server reads [ReadFrame], calls [ParseRequest] and writes
// [AppendResponseFrame], or [AppendEncodedResponseFrame] with peers that it has
// encoded before. [Check] says in advance whether a request will be refused.
//
// # Decisions
//
// Messages are read and written with protowire, without generated code.
//
//   - Context: proto.Unmarshal allocates 60 bytes for each byte of a hostile message.
//   - Decision: the limits are applied to the bytes, before anything is allocated.
//   - Consequence: some hundred lines of our own, compared with generated code by tests.
//   - What would change it: a protobuf decoder with limits.
//
// A message that was read does not refer to the bytes it was read from.
//
//   - Context: a slice of ten bytes that is kept from a frame of 4 MiB keeps the frame.
//   - Decision: copy.
//   - Consequence: one small allocation for each key, and buffers can be used again.
//   - What would change it: a profile with these copies in it.
//
// Bad entries are skipped on reading and left out on writing.
//
//   - Context: js-libp2p loses an answer over one address or ID that it cannot decode.
//   - Decision: addresses are decoded both ways; an ID has one of three specified forms.
//   - Consequence: a decode for each address written, which [EncodedPeer] does in advance.
//   - What would change it: a new kind of key for peer IDs.
//
// "/p2p/" and the peer's own ID are removed from the end of an address.
//
//   - Context: js-libp2p adds the ID, Go does not; with another ID we would dial a third peer. A
//     dial of a peer through itself waits for itself, for 5 s.
//   - Decision: an address that ends in another ID, or whose relay is the peer, is no address of
//     it.
//   - Consequence: one form for each address, so that duplicates show.
//   - What would change it: addresses that mean something with another ID.
//
// An empty key is refused in every request.
//
//   - Context: for FIND_NODE, js-libp2p answers it, and Go resets the stream.
//   - Decision: as Go.
//   - Consequence: a mistake in a client shows.
//   - What would change it: a use for an empty key.
//
// A record under another key than the requested one fails the whole response.
//
//   - Context: only a broken or a malicious peer sends one.
//   - Decision: its closer peers, which may be fine, are not read.
//   - Consequence: a lookup treats the peer as failed, and does not follow its peers.
//   - What would change it: an implementation that leaves the key out of its records.
//
// Records beside the best one are in a field of their own, moreRecords.
//
//   - Context: the field record comes once; if it comes twice, readers merge both into one.
//   - Decision: the same type, without its key; all values together share MaxValue.
//   - Consequence: others see one valid record, and of a PUT_VALUE they keep that alone.
//   - What would change it: a specification of sets.
//
// The proof of an announcement is opaque here.
//
//   - Context: a holder that hands an announcement over is another peer than its provider.
//   - Decision: up to MaxProof bytes beside the first provider; package host checks them.
//   - Consequence: others ignore the proof, and refuse what its provider did not send itself.
//   - What would change it: a signature over key and time in the specification.
//
// Certified addresses stand before the other addresses of a peer.
//
//   - Context: an answer with fewer addresses is copied from the start of the full message.
//   - Decision: the order is id, certified, addrs, with MaxCertified bytes at most.
//   - Consequence: a reader that may not see all certified addresses gets its own message.
//   - What would change it: a field in the specification.
//
// The least TTL that is written is one second.
//
//   - Context: seconds are whole, and 0 means no TTL: the next holder would keep the record.
//   - Decision: round down to 1 at least, for a time that is over as well.
//   - Consequence: a record lives a second longer for each time it is sent at its very end.
//   - What would change it: a TTL in smaller units.
package protocol
