// Package host is a Kademlia DHT on a libp2p host: a handler for the protocol
// /ipfs/kad/1.0.0, or for that of a network of your own. Import it as kad:
//
//	import kad "github.com/go-kad/kad/host"
//
//	d, err := kad.New(h, kad.Config{Network: "/chat", Bootstrap: peers})
//
// A [DHT] is a core/routing.Routing and a core/discovery.Discovery. It finds
// peers by ID ([DHT.FindPeer]), stores values ([DHT.Put], [DHT.GetValue]), finds the
// peers that have a content ([DHT.Announce], [DHT.Providers]) or are in a namespace, such as
// the name of a room ([DHT.Advertise], [DHT.Discover]). The methods of libp2p's interfaces have
// siblings that say more: Put and Announce return a [Receipt], Providers and
// Discover report errors. [DHT.AnnounceMany] and [DHT.PutMany] take any number of contents
// and values. [DHT.Join] keeps a node in a namespace, and connects it to the others there.
// [DHT.Events] tells what happens in the node.
//
// # Lifecycle
//
// [New] attaches to a host, and the node joins the network by itself. While no peer is
// known, it tries again after 0.2 s, then after ever longer times up to 30 s, through
// the peers of Config.Bootstrap and Config.FindBootstrap. [DHT.Ready] waits until lookups
// will work, or says why they will not; operations wait for that themselves, up
// to 10 s. [DHT.Close] ends everything that was started, and waits for it: less than a second,
// or longer on a machine that has too little processor time for it. The host is never closed.
//
// A node that other peers can reach is a server: it answers requests and sits in
// their tables. Any other node is a client. [Mode] says how that is decided.
//
// # Concurrency
//
// All methods can be called at the same time. An idle DHT has one goroutine, and a
// lookup has one for each request and dial in flight. When a lookup has its result, its
// unanswered requests go on for a second. Every operation ends with its context, or with
// Close, but waits for a store that hangs until that answers. An operation that yields, as
// Providers does, runs in the goroutine that ranges over it.
//
// To follow a lookup, call RegisterForQueryEvents of libp2p's core/routing, give the
// operation the context that it returns, and read its channel: as with every libp2p
// router, a lookup waits until its events are read. To count what an operation costs, use
// [WithTrace]; for spans of OpenTelemetry, set Config.Tracer.
//
// # The life of a record
//
// A record, or an announcement, lasts for Config.RecordAge after its publisher last
// published it: a holder that passes it on states its remaining lifetime. Within that time
// it survives while peers come and go:
//
//   - The publisher publishes it again every Config.RepublishInterval, until
//     [DHT.StopPublishing] or [DHT.StopProviding], also after a restart with
//     Config.Dir.
//   - One of its holders sends it to the k closest peers every
//     Config.ReplicateInterval. The other holders receive it, and then send nothing.
//   - A peer that has become one of the k closest receives it from the closest of the
//     earlier holders, which sends at most 50 records a second, and from a holder that
//     leaves with [DHT.Leave].
//   - A get sends the best value to holders of a worse one, and leaves a copy with a peer on
//     its way. The more peers are closer to the key, the shorter a copy lives.
//
// A key holds one value, the best; or several, if its validator is a [Reducer]: see
// [DHT.GetValues]. Only a provider can announce itself. It signs its announcement, so that
// holders can pass it on.
//
// A node stores what any peer sends, wherever its key is in the key space, within the
// limits of its store and of Config.MaxBytesPerPeer. When the store is full, the record
// farthest from the node makes room; a new record that is still farther is refused.
//
// The public IPFS network (package host/amino) has rules of its own
// (Config.PublisherOnly): a record lives for 48h with each holder, holders do not
// replicate it or hand it over, and gets leave no copies. In any network, announcements of
// other implementations are not signed, so holders do not pass them on.
//
// # Being found and being reached
//
// A server is found in the tables of other peers. A client, such as a node behind a NAT,
// keeps a presence: a provider record under its own ID, held by the k servers that are
// closest to it, whatever implementation they run. It has the addresses of the host that
// other peers can use, including relayed ones; it is announced at once when they change,
// and renewed every 25 minutes. Servers of this package also keep the client's signature,
// and forget the presence an hour after its last renewal, or when it is withdrawn: see
// Config.DisablePresence.
//
// [DHT.Locate] asks for a peer and for its presence, and says where each address comes
// from; [DHT.FindPeer] returns the addresses alone. [DHT.Connect] connects to a peer
// wherever it is: directly, or through a relay with hole punching, which the host must
// have enabled.
//
// # NAT
//
// [Traversal] is one option of libp2p.New with which a host can be found and reached behind
// a NAT, too: through relays at once, then directly through a punched hole. It finds relays
// in the DHT; a node that can be dialled becomes one with Config.OfferRelay. For a host
// that exists already, [CheckTraversal] names the options that it lacks. [DHT.Diagnose] says
// how the node can be found and reached, and what would improve that.
//
// # Errors
//
// Operations fail with one of the sentinels of this package, or with an error
// that wraps one: [ErrNotFound], [ErrUnanswered], [ErrNoContacts], [ErrInvalidRecord],
// [ErrOldRecord], [ErrRefused], [ErrClosed]; or with the cause of the context. An
// [*UnansweredError] says how many of the closest peers have answered, a
// [*PutError] and a [*NotReadyError] have the reasons by peer, and a [*ConnectError]
// has them by step. A failure never looks like an empty result: that nothing is there, an
// operation says only if more than half of the k closest peers that it knows have answered.
//
// # Trust
//
// Only a peer that has answered a request of this node enters its table. What a peer
// sends is bounded by the limits of package protocol, and the work that it causes by the
// limits of this package. A private or loopback address is neither accepted from a peer on
// the public internet, nor given to one. A DNS name is not resolved to check that: if it must
// not lead to a private address, give the host a connection gater.
//
// # Decisions
//
// Each room under host/internal has the decisions about it in its own doc.go.
//
// The public API is defined here.
//
//   - Context: the rooms have types and errors of their own.
//   - Decision: the types that users read are defined here, and results are converted in
//     one file.
//   - Consequence: an alias would have no documentation; a conversion costs one copy.
//   - It would change if go doc showed the documentation of aliases.
//
// Traversal is an option that takes a place for the DHT.
//
//   - Context: host and DHT need each other; libp2p.New builds a host in one call.
//   - Decision: the option attaches the DHT in the lifecycle of the host.
//   - Consequence: users keep the call they know, and write one pointer more.
//   - It would change if libp2p let an option return a value.
//
// ClosestPeers returns addresses with the IDs.
//
//   - Context: an ID alone is good only for another lookup.
//   - Decision: each peer comes with the addresses at which it was reached.
//   - Consequence: the method differs from go-libp2p-kad-dht's GetClosestPeers.
//   - It would change with core/routing.
//
// Advertisements are not published again.
//
//   - Context: the discovery interface of libp2p has the caller advertise again.
//   - Decision: Advertise announces once; Announce and Put are repeated by the node.
//   - Consequence: a program that stops advertising is forgotten after its TTL.
//   - It would change with core/discovery.
package host
