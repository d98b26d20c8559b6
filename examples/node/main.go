// Command node is the DHT as a program: one node of a Kademlia network, with an
// HTTP API on the loopback interface to look at it and to drive it. Operators
// run it, scripts and tests talk to it. In three shells, or with jq in one:
//
//	go run ./examples/node --network /demo --open-namespace v --listen /ip4/127.0.0.1/tcp/4001 --identity-seed one --api 127.0.0.1:5001
//	go run ./examples/node --network /demo --open-namespace v --listen /ip4/127.0.0.1/tcp/4002 --identity-seed two --api 127.0.0.1:5002 --join /ip4/127.0.0.1/tcp/4001/p2p/12D3KooWHvLp7Pb2jCaeugAkUGW1XgqNPimeE2TiqGZF8kCvPZJP
//	curl -X PUT --data-binary hello 'http://127.0.0.1:5001/v1/value?key=/v/greeting' && curl 'http://127.0.0.1:5002/v1/value?key=/v/greeting'
//
// # Output
//
// The first line on stdout, and the only one, is printed when the node listens
// and serves the API: a JSON object with its ID, the addresses to --join it at,
// and the URL of the API.
//
//	{"id":"12D3Koo...","addrs":["/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo..."],"api":"http://127.0.0.1:5001"}
//
// Logs go to stderr: those of the node from --log on, those of the libraries from error on, or
// all of them with --log debug. SIGINT or SIGTERM stops the node within 5 s, with exit code
// 0; up to 2 s of that it hands over what it holds. A second one kills it. A flag that makes no sense is one line on stderr and
// exit code 2; anything else that keeps the node from starting is exit code 1.
//
// # API
//
// Answers are JSON objects. Parameters are in the query:
//
//	GET    /                              a page for a browser, which shows the node live
//	GET    /v1/id                         id, addrs, mode, mode_reason, network
//	GET    /v1/ready                      200 once lookups will work, else 503; waits as long as timeout
//	POST   /v1/connect?addr=ADDR/p2p/ID   connects to a peer; or id=ID, to find it first
//	GET    /v1/ping?id=                   connects to a peer and pings it; or addr=ADDR/p2p/ID
//	GET    /v1/table                      the routing table, bucket by bucket
//	GET    /v1/closest?key=               the k closest peers that answer, closest first
//	GET    /v1/peer?id=                   the addresses of a peer
//	PUT    /v1/value?key=                 stores the body; answers with a receipt: who stored it, who did not and why
//	GET    /v1/value?key=                 the value itself, as application/octet-stream
//	GET    /v1/values?key=                all values of a key that holds several, in base64, the best first
//	DELETE /v1/value?key=                 stops publishing a value again
//	POST   /v1/provide?cid=               announces that this node has some content; a receipt
//	POST   /v1/provide                    the same for the CIDs in the body, any number, one a line
//	GET    /v1/provide/status             how many of those were read, stored and failed, since the node started; and all that it publishes
//	DELETE /v1/provide?cid=               takes an announcement back; without cid, those of the CIDs in the body
//	GET    /v1/providers?cid=&count=      who announced some content; count 0, the default, is all
//	POST   /v1/advertise?ns=              announces that this node can be found under a name; a receipt
//	GET    /v1/peers?ns=&count=           who can be found under a name
//	GET    /v1/diagnose                   how the node can be found and reached, and what would improve it
//	GET    /v1/held                       what the node holds: one object a line with key, keyhex, kind, size, left_ms, age_ms, peer
//	GET    /v1/stats                      counters and gauges, one flat object
//	GET    /metrics                       counters and gauges for Prometheus: kad_ and libp2p_
//	GET    /v1/events                     what happens from now on, as server-sent events
//	       /routing/v1                    delegated routing, with --routing-v1: providers, peers, IPNS, closest peers
//
// A key is text, key=TEXT, or bytes, keyhex=HEX. All calls take timeout=DURATION
// (30s by default). PUT and GET /v1/value and GET /v1/values take quorum=N: how many
// peers are to have stored the value, or to agree; the call then waits for no more.
//
// Each answer carries elapsed_ms, and that of an operation of the DHT also
// lookup: how many requests its lookups sent, how many were answered, and over
// how many hops. GET /v1/value has both in the headers X-Elapsed-Ms and X-Lookup.
//
// A failure is {"error":"..."}, with the status 400 (bad argument), 404 (looked
// everywhere, not there), 409 (refused by a validator, or a better value is
// known), 502 (peers did not do what they were asked), 503 (not ready, with the
// diagnosis, or stopping) or 504 (the timeout passed). What was achieved until
// then is in it too: a receipt, or the providers that were found.
//
// # Many contents
//
// POST /v1/provide without cid reads its body while it answers, with one object a line: a
// receipt with its cid, for each content, in no order, and progress: how many are read, done and
// failed, and part, how much of the key space is done for those that are read; then {"done":true,"stored":n,
// "failed":n,"requests":n}. What was read is announced, and announced again every day, also
// if the client goes away. Of what a client sends, up to 32 768 lines are read ahead: a client
// that sends more has to read meanwhile. One that neither sends nor reads for a minute is
// taken to have gone. There is no timeout, unless it is given; then done is false, and error
// says why.
//
// DELETE /v1/provide without cid reads the same body: its answer has a line for each line that is no
// CID, then {"done":true,"read":n,"failed":n}. If something was not withdrawn, done is false, and
// error says how many were not, and why the first one was not.
//
// GET /v1/provide/status has running (such calls), read, stored, failed and requests for all of
// them; and, for all that the node publishes, in whatever way: publications (scheduled), overdue,
// next_hour, under_way, published and publish_failed (for the first time and again, since the
// start), and last_failure: null, or at, kind, key, keyhex and reason.
//
// # Private networks
//
// With --swarm-key FILE, only peers with the same key can connect: its file is that of Kubo,
// and `kad swarm-key` makes one. Such a network works over TCP alone. The key keeps strangers
// out, and says nothing about which of its peers may do what.
//
// # Events
//
// GET /v1/events sends one JSON object for each event, until the client goes away: its
// type, at (when it happened), and the fields of that type in package host/events, in
// lower case with underscores. An event may have missed: how many events before it were
// lost, since the client did not read them in time. With timeout=DURATION, the stream ends
// after that. A node has up to 16 such clients.
//
//	data: {"at":"2026-01-02T03:04:05Z","lookup":7,"peer":"12D3Koo...","type":"lookup_asked"}
//
// # Page
//
// GET / is a page that shows the node while it runs: the ring of keys with its contacts, the
// routing table, lookups as they go, how it is reached, counters and events, and a box to
// look up a key or a peer. It loads nothing from elsewhere. A browser shows the ring on
// the loopback interface alone: elsewhere, it hashes only for pages that come over TLS.
//
// # Token
//
// With --api-token FILE, each request to the API, the page and /metrics needs the first line of
// the file: as Authorization: Bearer TOKEN, or as the password of any user, which a browser
// asks for; else the status is 401. It has 16 characters or more. Without it, the page is refused
// to other machines with 403. The connection is not encrypted: on a network that others can
// read, put a proxy before it that speaks TLS.
//
// # Delegated routing
//
// With --routing-v1, Kubo, Helia and other programs find providers and peers, and publish
// and resolve IPNS names, through this node. IPNS takes the validators of IPFS: those of
// --network /ipfs, or --ipfs-validators. A provider announces itself in the DHT: providing
// for a client is not supported. A Kubo that is to use this node alone has the URL of the API
// in its settings Routing.DelegatedRouters and Ipns.DelegatedPublishers, each a list, with
// Routing.Type delegated and Provide.Enabled false; with --network /ipfs/lan and the address of
// this node as its bootstrap peer, a Kubo in a private network is a peer of it, and announces
// what it has. --routing-listen HOST:PORT serves the questions alone, to
// anybody and to web pages of any origin, at an address of its own, so that the API can stay on
// the loopback interface: the first line of stdout has that URL as routing. It answers up to
// 64 questions at a time, 16 of one address; put a proxy before it that speaks TLS, and bounds
// the rate of each client. https://specs.ipfs.tech/routing/http-routing-v1/
//
// # NAT
//
// Behind a NAT, a node is found and reached all the same, by default: through relays,
// which the DHT finds, hole punching, and port mapping. Nodes that others can dial help
// with --offer-relay; behind a router that forwards a port, --announce names the address at
// which they can, which the node else learns from the fourth peer that dials it. Nodes in one
// local network find each other by multicast DNS. --reachability takes for granted what a
// node else finds out in some seconds. GET /v1/diagnose answers
//
//	reachability, reachability_source   public, private or unknown, and who says so
//	mode, mode_reason                   server or client, and why
//	nat                                 how the router maps ports of tcp and of udp, if known
//	filtering                           which peers it lets in, if known
//	udp_blocked, offline                whether no UDP gets through, and whether no peer answers any more
//	clock_off_ms                        how far the clock is ahead of the peers' at least, if lookups fail for that
//	relays                              IDs of the relays that it has a reservation with
//	addrs                               that it announces
//	found_by                            asked: how many of the closest peers were, told: how many knew its address
//	ready, not_ready                    whether lookups work, and why not
//	says                                what it has found, in sentences for people
//	advice, best                        what would improve it, in sentences, and the one that helps most
//
// # Decisions
//
// A program that may use the API owns the node. So the API listens on the loopback interface
// alone, unless --api-any is given; give it a token then. It refuses what a web page
// in a browser on this machine could send: changes from a foreign origin, and requests for a
// name that only resolves to the loopback interface.
//
// A token is a password for browsers, too: they ask for it, and send it with the events. A
// login of our own would be code to guard.
//
// An empty list of providers is not an error: nobody promised that there are
// any. A value or a peer that is not there is.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-kad/kad/examples/internal/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on, a signal kills at once
	os.Exit(node.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
