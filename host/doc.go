// Package host is a Kademlia DHT on a libp2p host: a handler for the protocol
// /ipfs/kad/1.0.0, or for that of a network of your own. Import it as kad:
//
//	import kad "github.com/go-kad/kad/host"
//
//	d, err := kad.New(h, kad.Config{Network: "/chat", Bootstrap: peers})
//
// A [DHT] is a core/routing.Routing and a core/discovery.Discovery. It finds
// peers by ID ([DHT.FindPeer]), stores values ([DHT.Put], [DHT.GetValue]), finds
// who has a content ([DHT.Announce], [DHT.Providers]) or takes part in something
// ([DHT.Advertise], [DHT.Discover]). The methods of libp2p's interfaces have
// siblings that tell more: Put and Announce return a [Receipt], Providers and
// Discover report errors.
//
// # Lifecycle
//
// [New] attaches to a host and joins the network by itself; while nobody is
// known it tries again, after 0.2 s to 30 s. [DHT.Ready] waits until lookups
// will work, or says why they will not; operations wait for that themselves, up
// to 10 s. [DHT.Close] ends everything that was started within a second. The
// host is never closed.
//
// A node that others can reach is a server: it answers requests and sits in
// their tables. Others are clients. [Mode] tells how that is decided.
//
// # Concurrency
//
// All methods can be called at the same time. An idle DHT has one goroutine, and
// a lookup one per request and dial in flight; what is left of those when it has its
// result goes on for a second. Every operation ends with its context, or with Close. An operation that yields, as Providers does, runs in the goroutine
// that ranges over it.
//
// To follow lookups, give an operation the context of RegisterForQueryEvents of
// libp2p's core/routing, and read the channel that comes with it: as with every
// libp2p router, a lookup waits until its events are read. To count what an
// operation cost, use [WithTrace].
//
// # The life of a record
//
// A record, or an announcement, lasts for Config.RecordAge after its publisher last
// published it, and not longer: whoever passes it on says what is left of that. In
// that time the network keeps it alive, whoever comes and goes:
//
//   - The publisher publishes it again every Config.RepublishInterval, until
//     [DHT.StopPublishing] or [DHT.StopProviding], also after a restart with
//     Config.Dir.
//   - Its holders send it to the k closest peers every Config.ReplicateInterval: one
//     of them does, and the others, who are sent it, need not.
//   - A peer that has become one of the k closest is given it by the closest of
//     those who were there, and by one that leaves with [DHT.Leave]
//     (Config.HandoverRate).
//   - A get corrects holders of a worse value, and leaves a copy on its way; copies
//     live for less, the more peers are closer to the key.
//
// A key holds one value, the best; or several, if its validator is a [Reducer]: see
// [DHT.GetValues]. An announcement is the provider's own. Nobody else can make one,
// but holders can pass it on, since the provider has signed it.
//
// A node stores what strangers send, wherever it is in the key space, within the
// limits of its store and of Config.MaxBytesPerPeer. When the store is full, what
// is farthest from the node goes first, and who sends something still farther is
// told that there is no room.
//
// The public IPFS network ([Amino]) has rules of its own, and there they win: a
// record lives for 48h wherever it is, holders do not replicate or hand over,
// and gets leave no copies; announcements of other implementations are not signed,
// and so not passed on; their publishers make them again.
//
// # Being found and being reached
//
// A server is found in the tables of others. A client, such as a node behind a NAT,
// keeps a presence: a provider record under its own ID, with the k servers that are
// closest to it, whatever implementation they run. It has the addresses of the host that
// others on the network can use, those through relays included; it is announced at
// once when they change, and renewed every 25 minutes. Nodes of this package also keep
// what the client has signed of it, and forget it after an hour, or when it is
// withdrawn: see Config.DisablePresence.
//
// [DHT.Locate] asks for a peer and for its presence, and says where each address comes
// from; [DHT.FindPeer] returns the addresses alone. [DHT.Connect] connects to a peer
// wherever it is: directly, or through a relay with hole punching, which the host must
// have enabled.
//
// # NAT
//
// [Traversal] is one option of libp2p.New with which a host is found and reached also
// behind a NAT: through relays at once, then directly through a punched hole. Relays
// come from the DHT; those who can be dialled become one with Config.OfferRelay. On a
// host that exists already, [CheckTraversal] names what it lacks. [DHT.Diagnose] says
// how the node can be found and reached, and what would improve that.
//
// # Errors
//
// Operations fail with one of the sentinels of this package, or with an error
// that wraps one: [ErrNotFound], [ErrNoContacts], [ErrInvalidRecord],
// [ErrOldRecord], [ErrRefused], [ErrClosed]; or with the cause of the context. A
// [*PutError] and a [*NotReadyError] have the reasons by peer, and a [*ConnectError]
// those by step. An empty result is
// never the sign of a failure.
//
// # Trust
//
// Only a peer that has answered a request of ours enters the table. What
// strangers send is bounded by the limits of package protocol, and what they
// make us do by those of this package. Addresses are believed, and told, only as
// far as they reach: nobody on the public internet can name us a private
// address, except behind a DNS name, which is not resolved to judge it. If that
// matters, give the host a connection gater.
//
// # Decisions
//
// One stream per request. libp2p negotiates it without a round trip once the
// protocols of a peer are known, and no request waits behind another. Requests
// that come to us may share a stream, for others do that. A stream is half-closed
// if its answer is late: js-libp2p loses answers without that, and if it comes at
// once. We would change it if opening a stream cost more than the request itself.
//
// Addresses have a scope. Each contact is kept as the encoded message that
// announces it, its addresses ordered by how far they reach, so that an answer is
// made of copies: what a peer at some distance may see is a prefix. The
// alternative, one DHT for the local network and one for the public, has two
// tables to fill and two answers to merge.
//
// A disconnect is a doubt, no failure. A contact whose connection ended, or that
// was so late that a lookup ended without it, is probed in the background, and
// until it has answered, lookups wait for it a tenth as long. Without that, every
// node pays SlowAfter for every dead peer: in a network of 50 hosts of which 15
// died, 100 rounds of all operations took 491 s one after the other, and took 8 s
// then. Peers in doubt are not left out, for that would be a false "not found"
// when they are back. The probes are bounded, once per RefreshInterval and
// contact, since connection managers close connections all the time.
//
// SlowAfter is a ceiling. What is expected of a peer is a mean and four times the
// variation of its answers on open connections, as TCP has it, three times where many
// fail, or six where hardly anybody does; of one that has not answered, that of the first answers of all. A dial
// and its answer each have that time. Stores are not measured: they take as long as a
// disk does.
//
// Stragglers have a second. Nobody waits for them, but a late answer is the only
// way to learn that a peer is slow and not gone. If they were cancelled with the
// lookup, each lookup would find them silent again; if they had RequestTimeout,
// peers that do not answer would hold ten times as many goroutines. A lookup that is
// cancelled cancels them too.
//
// Dials have a budget, requests have not. Dials to the dead hang for seconds, and the
// router at home keeps each in a small table. What is dialled for nobody is given
// up after 0.8 s, not at once: the swarm takes a dial that was given up for one that
// failed, and refuses to dial the peer again for a while.
//
// What lookups find is remembered, and asked. A put, an announcement and
// ClosestPeers want to know who is closest, which three answers confirm; a get wants
// what each of them has, so it asks all, without a way to go. A node that joins or
// refreshes its table asks all too. The memory is one list per key: proofs for the
// keys between, as a survey has them, take several lookups in the same place.
//
// A put begins before its lookup has ended, with those who are among the k closest
// with a probability of 0.95. So now and then one more peer than k stores it, and is
// in the receipt.
//
// One path by default. Where a fifth of 10 000 nodes lie and name accomplices next to
// the key, a simulated lookup reaches the honest peer closest to it in 92 % with one
// path or two, in 97 % with four and always with eight; where liars name each other,
// in all cases. Eight paths take 58 requests, not 42, and twice as long where nothing
// is wrong with the network but those liars. So it is up to the operation: [Paths].
//
// Who waits for the turn of a dial is not late. Many lookups at once would else take
// each other's dials for dead peers, and end quickly with the wrong ones: of 256 at
// once among 1 000 nodes, of which one knew 150, 58 % found was right.
//
// Probes have the swarm forget failed dials. It remembers them for minutes, and would
// keep a node offline for so long after an outage.
//
// Former contacts are remembered for a day, and the bootstrap peers are a fallback.
// Nodes that were cut off together, and whose bootstrap peers are gone, have no other
// way back. A node whose only bootstrap peer died before it was ever reached knows
// nobody, and nothing heals that: configure several.
//
// A node with less than k contacts looks itself up again after 10s to 10m: who joined
// through one that knew nobody is in no network until then.
//
// Bootstrap peers are for life. One that is not in the table is dialled now and
// then, not only while the table is empty: a seed that restarts knows nobody, and
// those who join through it would make a network of their own.
//
// Auto mode trusts three signs of being reachable on the public network: the
// host's own finding, a peer on the internet that has connected to it, and a
// public IPv4 address of a socket. The first is what AutoNAT says, and wins. The
// others are for hosts whose peers do not run AutoNAT, such as the first nodes of
// a network.
//
// Findings about reachability must last, from the second one on. A router that is
// restarted, or a prober that is overloaded, would else take a node in and out of the
// tables of hundreds. A peer that comes through a punched hole proves nothing.
//
// Traversal is an option that takes where to put the DHT. Two alternatives: a function
// that makes host and DHT at once, of the options of libp2p, returns both without a
// pointer, but takes from the user the one call that he knows; and a method of a DHT
// that has no host yet, d.Option(), would need a state in which all else fails. The
// DHT starts and ends with the host, by its lifecycle: as a router of libp2p alone it
// would be made before the host listens, and never closed.
//
// AutoRelay is started with the word that reachability is unknown, when the host
// starts. It waits for any word, and that of AutoNAT takes 17 s where there is a NAT. To
// say private instead would be a guess, and the whole host would go by it. The price:
// a host behind a forwarded port holds relays for the 2 s until AutoNAT finds it public. Their
// addresses are announced meanwhile if AutoNAT v2 is on, as Traversal has it; with v1
// alone libp2p announces them only when the host is known to be private.
//
// The relay source waits, and AutoRelay does not. It yields what is missing to two
// reservations and nothing else, since AutoRelay picks at random among what it has, and
// reserves with nobody while it collects. So the order of preference is ours, and a lost relay
// is replaced when its connection breaks, within a second. Servers that are connected
// come before those that must be looked up.
//
// All that announce to relay are collected before any is checked, so that many who lie
// hide nobody: a random order takes their networks by turns, and who is found not to
// relay is passed over for a while. To check them as they come would save some 100 ms,
// and let the order be that of whoever answers first.
//
// That a peer has dialled the host proves something if it is a stranger: routers let in
// who was written to. So whom we dialled is remembered for as long as they do.
//
// The relay service is run by the node, not by libp2p, which waits for AutoNAT: the
// first node of a network has nobody that could tell it, and it is the one that others
// need first. Only who is told so by Config.OfferRelay announces itself, though more may
// relay: on a public network, many do without having meant to. An announcement is good
// for 30m, and not republished after a restart.
//
// One dial in four prefers TCP, the second one first, so that a node that knows two
// peers has learnt its address on both transports. By a hash of the address, as an
// alternative, small networks would often have nobody for one of them.
//
// Connections are renewed behind a NAT, two in 3m, since QUIC outlives a change of the
// NAT's address, and nobody then tells the new one. A second connection beside the old
// one would spare the gap, but libp2p dials nobody who is connected. That a hole cannot
// be punched is the one sign of a change that the host has, so it renews then too.
//
// Relays are asked every 5s, for QUIC takes half a minute to miss one, in which nobody
// reaches the host. They are given up only while somebody else answers: an outage of
// our own would else cost all reservations. Phones that mind two small streams in 5s
// would change our mind.
//
// Connect tries the relays of a peer at the same time. libp2p dials through one after
// the other, and where one of two had died without a word, that took 30s and more; to
// hold the swarm back from those that have not answered takes a round trip to the other.
// To take their addresses from the peerstore did so too, and lost what others had put
// there. A round trip is what it costs where all are well.
//
// Who connects once more is asked on its older connections. A peer that was killed is
// often back before that is noticed, and libp2p prefers the connection with the most
// streams, which may be the dead one.
//
// Refusals have a reason. A request that is not served ends with the reset of
// its stream, as others do it, and with an error code that says why, so that a
// [Receipt] can. Other implementations ignore the code, and their resets have
// none.
//
// ADD_PROVIDER has no answer, and its success is the clean end of the stream.
// Where it is reset without a reason, which js-libp2p does in either case, the
// peer is asked for what it has stored.
//
// An announcement of ours stays in our own store until it is withdrawn, and so
// does not depend on who else remembers it.
//
// What we publish is published again by the node, not by the caller: values and
// announcements until they are withdrawn. Advertisements are not, for their
// interface has the caller advertise again, and who stops doing that wants to be
// forgotten. A value is given up when we hold a better one; that others claim to
// is not enough, or a liar could end it.
//
// Replication has no schedule. Each node goes through its store once in
// ReplicateInterval, from a moment of its own, and sends what nobody has sent it
// for so long. When that was, the store knows anyway, so nothing else is kept, or
// lost in a restart. With k holders that come by at different moments, a record is
// replicated 1 + 1/(k+1) intervals after it was stored last, on average, by one of
// them. The alternative, a due time for each record, takes memory for each record.
//
// Keys that are near each other share lookups. The store iterates in the order of
// the key space, and two lookups tell the k closest peers of all keys in a part of
// it in which there are about k peers: see [routing.Region].
//
// A holder beyond the k closest gives its copy back: when nobody has sent it the
// record for ReplicateInterval, it sends it to the k closest, and forgets it. So a
// record that only far holders have is not lost, those who were cut off do not keep
// an old value for days, and the copies of others do not come back every hour.
//
// Announcements are signed by the provider, over key, time and network, and not over
// addresses. So holders can pass one on, though only the provider can make it, and
// nobody can make it last longer. Addresses are filtered by who is asked, and
// hearsay wherever they come from. The alternative, to believe who passes it on,
// lets anybody announce anybody.
//
// A presence is a provider record, for that is what every server stores, and returns,
// with addresses. It lasts for an hour: a peer that goes without a word is not found for
// longer; and it is renewed after 25m, since older implementations tell addresses for
// 30m. It is announced at once after a change; while changes go on, the pauses double,
// from 1s to 60s, or addresses that wobble would be a flood at all who hold them. Who is
// still busy with older addresses, since holders hang, is interrupted. The alternative,
// to wait until addresses are stable, costs that time each time. Who comes into the table
// later, and is among the k closest, is told 10s after that: half of a small network was
// late when a client first looked for it, and heard of it with the renewal.
//
// Addresses are certified with the signed peer record of libp2p, whose sequence number
// is their age. It cannot be told in part, so it has only the addresses that reach
// farthest, and is told only where all of them may be. The alternative, an address list
// in the proof of an announcement, would tell others nothing.
//
// A withdrawal is an announcement with a negative lifetime and without addresses. Other
// implementations refuse one without addresses, and so do not keep for longer what they
// hold.
//
// Locate asks two things of each contact, for a server that is not asked for providers
// does not tell them, and the way to those that hold a presence is the way to the peer. No
// single peer ends it: who says that it has the peer in its table may lie, or not have
// noticed that it has moved behind a NAT. A server that is named is asked itself, by the
// same lookup. What FIND_NODE alone names may be a client that somebody was connected to
// once; it is neither believed at once nor dialled by the lookup.
//
// Newcomers are those who come into the table while we do not join. A node that
// joins meets everybody for the first time, and would give all of them all it has.
//
// A put waits for its quorum. Without one, for three quarters of k, and for the others
// as long as answers take: where all are well, the receipt is complete, and a silent peer
// costs a moment, not RequestTimeout.
//
// A set of values is one value of the store, so that stores need not know of it.
// Each of its values has its own time.
//
// ClosestPeers returns addresses with the IDs, since a bare ID is good for
// nothing but another lookup.
package host
