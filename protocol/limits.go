package protocol

// All limits on data from other peers are here. They are constants: they protect a node
// on any network. Sizes are in bytes.
//
// Frames, keys, values, proofs and the records of a request are refused with
// [ErrTooLarge] if they are over a limit. Peers, addresses and the further records of a
// response are left out. Both happen before anything is allocated for them. This
// package writes within the same limits.
const (
	// MaxFrame is the size of a message without its length prefix. The other
	// implementations reset the stream over one byte more.
	MaxFrame = 4 << 20

	// MaxKey is the size of a record key and of the target of a lookup. The
	// longest in use are /ipns/ and /pk/ with a peer ID: under 50 bytes. A key is
	// held for as long as its record, and per lookup.
	MaxKey = 1 << 10

	// MaxProviderKey is the size of the multihash of ADD_PROVIDER and
	// GET_PROVIDERS. Go servers refuse 81 bytes; a SHA-512 multihash has 66.
	MaxProviderKey = 80

	// MaxValue is the size of the value of a record, and of all values of one
	// message together, so that several records under a key take the room of one in a
	// frame and at a holder. IPNS records have at most 10 KiB, public keys a few
	// hundred bytes. Networks of their own may store more; an answer must fit into
	// MaxFrame with the peers beside it, and every server holds what it is sent.
	MaxValue = 1 << 20

	// MaxRecords is the number of records of one message: the best one and the further
	// ones. A record takes 100 bytes in memory, and up to that much in a frame, before
	// its value, so that a message of empty ones costs 26 KB.
	MaxRecords = 256

	// MaxProof is the size of the proof of an announcement. A signed envelope with
	// an Ed25519 key has 200 bytes. With RSA it has 700 for a key of 2048 bits, 1 150
	// for 4096, and 2 200 for 8192, which is the longest that libp2p accepts. It is held
	// as long as the announcement, and counts towards the limits of the holder.
	MaxProof = 2560

	// MaxFirstProof was MaxProof at first. A node of that time refuses the whole
	// announcement if its proof is larger, and accepts it without.
	MaxFirstProof = 1 << 10

	// MaxCertified is the size of the certified addresses of a peer. With 16
	// relayed addresses of 100 bytes and an Ed25519 key they have 1.8 KB, with an
	// RSA key 0.6 KB more. A larger one is left out.
	MaxCertified = 4 << 10

	// MaxPublisher is the size of the publisher of a record: a peer ID, which has
	// up to 39 bytes, with room for longer hashes. A longer one is left out.
	MaxPublisher = 64

	// maxTime is the size of the time at which a record was received. RFC 3339
	// needs 35 bytes with nanoseconds and an offset. A longer one is no time.
	maxTime = 64

	// MaxMany is the number of requests in one message of the protocol for many. An
	// announcement has about 350 bytes, so that 256 of them are as large as a usual value.
	MaxMany = 256

	// MaxCloser is the number of closer peers of an answer. An honest one has k,
	// which is 20, or 22 from js-libp2p, which adds the target and itself; Go
	// clients take up to 2k. This is room for a k of 60.
	MaxCloser = 64

	// MaxProviders is the number of providers of an answer. Go servers send all they
	// have, and a popular key has many. A client dials a few of them, and one server
	// has chosen all in one answer.
	MaxProviders = 1024

	// MaxAnnounced is the number of providers that are read from ADD_PROVIDER.
	// Only the sender may announce, and only itself, so that all senders send one.
	MaxAnnounced = 16

	// MaxPeer is the size of a Peer message. Its addresses past the limit are left
	// out, as Go does since it has this limit too.
	MaxPeer = 8 << 10

	// MaxAddrs is the number of addresses of a peer. The recorded ones have up to
	// 4. Other implementations send the addresses of all interfaces and transports, in
	// any order: this is room for those of a machine with many, of which the reader
	// keeps the most useful.
	MaxAddrs = 64

	// MaxAddr is the size of an address. A relayed WebTransport address with two
	// certificate hashes has about 200 bytes, a DNS name up to 255.
	MaxAddr = 512

	// maxComponents is the number of components of an address. A long one, from
	// /ip6zone to the relayed peer behind WebTransport, has 10. It bounds what a
	// parsed address takes: a component of two bytes takes about 50 in memory.
	maxComponents = 16

	// MaxPeers is the size of one list of peers. Because of it, reading a message
	// of MaxFrame bytes allocates at most four times as much, whatever it is made
	// of. Peers with four addresses take 100 bytes each. What is over it is left
	// out: peers when writing, addresses first when reading.
	MaxPeers = 256 << 10
)
