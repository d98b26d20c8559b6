package host

import (
	"context"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Stats are the counters of a DHT since it was made, and its gauges now.
type Stats struct {
	Lookups        uint64 // lookups started
	Requests       uint64 // requests to peers, except probes
	RequestsFailed uint64 // of these, the ones that were refused or had no answer
	Probes         uint64 // requests that check whether a peer serves
	Joins          uint64 // attempts to join the network
	Corrections    uint64 // holders of a worse record, or of none, that have stored a better one
	Cached         uint64 // copies left with peers that a get passed
	Published      uint64 // records and announcements of this node published, for the first time or again
	PublishFailed  uint64 // the times that this failed: see LastFailure
	Republished    uint64 // records and announcements of this node published again
	Replicated     uint64 // records and announcements that this node, as a holder, sent to the peers closest to them
	HandedOver     uint64 // records and announcements given to peers that became one of the k closest
	Shed           uint64 // records and announcements dropped from a full store for nearer ones
	Expired        uint64 // records and announcements removed from the store since their time was over

	LookupHops       uint64  // the sum of the hops of all lookups that have ended
	LookupConfidence float64 // the sum of their confidence: see [LookupStats]

	// Dials begun by requests and by the upkeep. Those of [DHT.Connect] do not count.
	Dials       uint64
	DialsFailed uint64

	// How often a bound was reached.
	LimitStreams uint64 // a stream of a peer found all places taken
	LimitMemory  uint64 // the memory for the streams of peers was used up
	LimitTurns   uint64 // a request of a peer waited too long for its turn
	LimitShare   uint64 // a peer had used up its share of the store
	LimitStore   uint64 // the store was full, and had no entry farther away
	LimitNamed   uint64 // an address was not dialled: too many peers named at its IP address were not there

	// Bytes of messages received and sent, in requests and answers of both directions. The
	// bytes that the host adds to carry them, some 100 for a new stream, do not count.
	BytesIn, BytesOut uint64

	InboundFindNode     uint64 // requests answered, by kind
	InboundGetValue     uint64
	InboundPutValue     uint64
	InboundGetProviders uint64
	InboundAddProvider  uint64
	InboundPing         uint64
	InboundRefused      uint64 // requests, of any kind, that were malformed, too many, or refused for their record

	Contacts       int  // in the routing table
	Suspects       int  // of these, the ones that did not answer when they were last asked
	Pending        int  // peers that wait for a place in it
	Offline        bool // no contact answers, or more than four fifths of them do not: see DHT.Ready
	Single         bool // this node is the only server of its network: see DHT.Ready
	InboundStreams int  // being served
	Values         int  // in the store
	Providers      int  // announcements in the store
	Server         bool // the node serves
	DialsUnderWay  int  // of Dials, the ones that have not ended
	DialsQueued    int  // dials that wait for their turn: see Config.MaxDials
	Relays         int  // relays that have a reservation for this node

	Publications         int // records and announcements of this node, to be published again, or for the first time by AnnounceMany or PutMany
	PublicationsOverdue  int // of these, the ones that are due, and wait for the network, or for others before them
	PublicationsNextHour int // of these, the ones that are due within an hour from now, and not overdue
	PublicationsUnderWay int // records and announcements being published now, for the first time or again

	LastFailure PublishFailure // the last publication of this node that failed

	// What this node gives other peers as their relay: see Config.OfferRelay. A relay that the
	// host runs by itself does not count.
	RelayReservations int    // peers that have a reservation here now
	RelayCircuits     int    // connections between other peers that go through this node now
	RelayBytes        uint64 // carried by them, in both directions
	RelayRefused      uint64 // reservations and connections for which Config.Relay left no room

	Reachability network.Reachability  // whether other peers can dial the host, as [DHT.Diagnose] has it
	NAT          network.NATDeviceType // how the router maps ports, as [DHT.Diagnose] has it

	NetworkSize float64 // an estimate of how many nodes serve in the network; 0 if it is unknown

	// Lateness is how late the timers of this node fire while requests are under way; 0 if
	// no request is. From about 0.1 s on, the machine has too little processor time. Requests
	// then have more time, up to 6 times Config.RequestTimeout, and so has Ready; and it takes
	// longer until missing answers show that the node is offline.
	Lateness time.Duration

	Due []Due // what the node does by itself next, the first one first

	Sent     []Timed // requests sent, each attempt with its dial
	Served   []Timed // requests of peers, until their answer was ready
	LookedUp []Timed // lookups, by the kind of their requests

	Operations []Timed // calls of the user: put, get, announce, providers, find_peer, closest_peers or connect
}

// A PublishFailure says which publication of a node failed, when and why. The zero value means
// that none has failed. A publication that is repeated, or is one of AnnounceMany or PutMany, is
// tried again within about 10 minutes, unless its value is not valid, a better one is known, or
// Config.RepublishInterval is negative. One that its caller has stopped has not failed.
type PublishFailure struct {
	At   time.Time
	Kind store.Kind // KindValue or KindProvider
	Key  []byte     // of an announcement, the multihash of the content
	Err  error      // as that of Put and Announce
}

// A Due is when a job of the node is due at the latest. A job that waits for something to
// happen, or is under way, has no Due.
type Due struct {
	Job string // refresh, republish, replicate, expire, presence, check, reunite, ...
	At  time.Time
}

// Intervals is how many bounds [Times] have.
const Intervals = observe.Intervals

// TimesBound returns the bound of an interval of [Times], from 0 to [Intervals] - 1: 100 µs,
// 200 µs, and so on, to 13.1 s.
func TimesBound(i int) time.Duration { return observe.Bound(i) }

// Times say how long something took that happened Count times.
type Times struct {
	Count  uint64
	Sum    time.Duration
	Within [Intervals]uint64 // how many took [TimesBound] of the index, or less
}

// A Timed has the times of one kind with one outcome. Kinds and outcomes that have not
// occurred are left out of the lists of [Stats].
type Timed struct {
	// Kind is find_node, get_value, put_value, get_providers, add_provider or ping; in
	// Stats.Operations, one of the names there.
	Kind string

	// Outcome is one of these. In Stats.Sent: answered, refused, silent, late, not_sent or
	// own_failure. In Stats.Served: answered or refused. In Stats.LookedUp: how the lookup
	// ended, such as converged, or given_up. In Stats.Operations: done, not_found, unanswered,
	// not_ready, not_stored, given_up or failed.
	Outcome string

	Times
}

// publications sets what the Stats say of publications.
func (s *Stats) publications(p publish.Status) {
	s.Published, s.PublishFailed = p.Succeeded, p.Failed
	s.Publications, s.PublicationsOverdue = p.Publications, p.Overdue
	s.PublicationsNextHour, s.PublicationsUnderWay = p.Soon, p.UnderWay
	if f := p.Last; f.Err != nil {
		s.LastFailure = PublishFailure{At: f.At, Kind: f.Kind, Key: []byte(f.Key), Err: public(f.Err)}
	}
}

// timed returns the times of requests, of lookups, or of operations, whose outcome has a name.
func timed(r interface {
	Each(f func(kind string, outcome uint8, t observe.Times))
}, name func(outcome uint8) string,
) []Timed {
	var list []Timed
	r.Each(func(kind string, outcome uint8, t observe.Times) {
		list = append(list, Timed{kind, name(outcome), Times(t)})
	})
	return list
}

// outcome returns the name of an outcome of a request.
func outcome(o uint8) string { return table.Outcome(o).String() }

// lookupOutcome returns the name of an end of a lookup.
func lookupOutcome(o uint8) string {
	if end := routing.End(o); end != routing.Running {
		return strings.ReplaceAll(end.String(), " ", "_")
	}
	return "given_up"
}

// Stats returns the counters and gauges of the DHT.
func (d *DHT) Stats() Stats {
	requests, failed, probes := d.call.Stats()
	corrected, cached := d.find.Stats()
	replicated, handedOver := d.replicate.Stats()
	answered := func(req protocol.Request) uint64 { return d.serve.Times().Of(req, uint8(table.Answered)).Count }
	contacts := d.table.Stats()
	values, providers := d.holder.Len()
	mode, _ := d.Mode()
	reachability, _ := d.reach.Verdict()
	_, _, nat := d.reach.NAT()
	s := Stats{
		Lookups:        d.lookup.Lookups(),
		Requests:       requests,
		RequestsFailed: failed,
		Probes:         probes,
		Joins:          d.join.Joins(),
		Corrections:    corrected,
		Cached:         cached,
		Republished:    d.publish.Republished(),
		Replicated:     replicated,
		HandedOver:     handedOver,
		Shed:           d.holder.Shed(),
		Expired:        d.holder.Expired(),

		InboundFindNode:     answered(protocol.FindNode{}),
		InboundGetValue:     answered(protocol.GetValue{}),
		InboundPutValue:     answered(protocol.PutValue{}),
		InboundGetProviders: answered(protocol.GetProviders{}),
		InboundAddProvider:  answered(protocol.AddProvider{}),
		InboundPing:         answered(protocol.Ping{}),
		InboundRefused:      d.serve.Refused(),

		Contacts:       contacts.Contacts,
		Suspects:       contacts.Suspects,
		Pending:        contacts.Pending,
		Offline:        contacts.Offline,
		Single:         d.table.Single(),
		InboundStreams: d.serve.Len(),
		Values:         values,
		Providers:      providers,
		Server:         mode == ModeServer,
		Relays:         len(d.relay.Held()),
		Reachability:   reachability,
		NAT:            nat,
		NetworkSize:    max(0, d.table.Size().Nodes),
		Lateness:       d.pulse.Lateness(),

		Sent:     timed(d.call.Times(), outcome),
		Served:   timed(d.serve.Times(), outcome),
		LookedUp: timed(d.lookup.Times(), lookupOutcome),

		Operations: timed(&d.observer.Operations, operationOutcome),
	}
	s.publications(d.publish.Status())
	s.BytesIn, s.BytesOut = d.traffic()
	carried := d.relay.Carried()
	s.RelayReservations, s.RelayCircuits, s.RelayBytes, s.RelayRefused = carried.Reservations, carried.Circuits, carried.Bytes, carried.Refused
	ends, dials, served := d.lookup.Ends(), d.call.Dials(), d.serve.Limits()
	s.LookupHops, s.LookupConfidence = ends.Hops, ends.Confidence
	s.Dials, s.DialsFailed, s.DialsUnderWay, s.DialsQueued = dials.Begun, dials.Failed, dials.UnderWay, dials.Queued
	s.LimitStreams, s.LimitMemory, s.LimitTurns = served.Streams, served.Memory, served.Turns
	s.LimitShare, s.LimitStore = d.holder.Limits()
	s.LimitNamed = dials.Unproved
	for _, due := range d.loop.Due() {
		s.Due = append(s.Due, Due(due))
	}
	return s
}

// traffic returns the bytes of all messages.
func (r *rooms) traffic() (in, out uint64) {
	asked, requests := r.streams.Traffic()
	served, answers := r.serve.Traffic()
	return asked + served, requests + answers
}

// A Bucket is a part of the routing table: the contacts whose keys share their
// first CPL bits with ours, and no more; in the last bucket, CPL bits or more.
type Bucket struct {
	CPL      int
	Contacts []Contact // the least recently seen first
	Pending  int       // newcomers that wait for a place
}

// A Contact is a peer in the routing table.
type Contact struct {
	peer.AddrInfo               // its addresses, as other peers are given them
	LastSeen      time.Time     // when it last answered
	RTT           time.Duration // round trip, smoothed by the host; 0 if unknown
	Suspect       bool          // it did not answer when it was last asked
}

// Table returns the routing table.
func (d *DHT) Table() []Bucket {
	var out []Bucket
	for _, b := range d.table.Buckets() {
		bucket := Bucket{CPL: b.CPL, Pending: b.Pending, Contacts: make([]Contact, len(b.Contacts))}
		for i, c := range b.Contacts {
			p, _ := announce.Wire(c.Wire).Peer() // without addresses if there is none
			bucket.Contacts[i] = Contact{
				AddrInfo: peer.AddrInfo{ID: c.ID, Addrs: p.Addrs}, LastSeen: c.Seen,
				RTT: d.host.Peerstore().LatencyEWMA(c.ID), Suspect: c.Suspect,
			}
		}
		out = append(out, bucket)
	}
	return out
}

// A Trace counts what the lookups of an operation cost. Give the context of
// [WithTrace] to one operation, and read the trace when it has returned. A put or an
// announcement may return before its lookup has ended: its trace is complete when
// [Receipt.Wait] has returned.
type Trace struct{ trace *lookup.Trace }

// LookupStats says what lookups cost.
type LookupStats struct {
	Lookups  int // how many there were
	Requests int // how many peers were asked
	Answered int // how many of them answered in time
	Refused  int // how many of them refused
	Late     int // how many of them had not answered when the lookup ended, or were overdue
	Unasked  int // how many requests failed on this machine: no stream, memory or file descriptor was left
	Hops     int // the longest way from a contact of this node, which counts 1, to a peer that answered

	// Confidence is how likely the peers that were found are the closest ones that
	// are alive, from 0 to 1, by the estimated size of the network; of several
	// lookups, the lowest. It is low if a lookup was ended before it had converged, for
	// instance by the [Quorum] of a get, or took over the result of an earlier lookup. It is 0
	// without lookups, while the size of the network is unknown, and if a peer that may be among the
	// closest could not be asked for lack of something here, or was silent while timers were late by
	// 250 ms or more: see Unasked, and Lateness of [Stats].
	Confidence float64

	// Crowded says that more peers are near the key of a lookup than chance brings there:
	// see [Receipt]. The lookup has asked peers beyond them.
	Crowded bool
}

// WithTrace returns a context for an operation, and the trace that the
// operation fills. For events as they happen, use RegisterForQueryEvents of
// libp2p's core/routing.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	ctx, trace := lookup.WithTrace(ctx)
	return ctx, &Trace{trace}
}

// Stats returns what has been counted so far.
func (t *Trace) Stats() LookupStats {
	if t.trace == nil {
		return LookupStats{}
	}
	return LookupStats(t.trace.Stats())
}
