package host

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// Stats are the counters of a DHT since it was made, and its gauges now.
type Stats struct {
	Lookups        uint64 // lookups started
	Requests       uint64 // requests sent by lookups and writes
	RequestsFailed uint64 // of them, those that were not answered
	Probes         uint64 // requests that check whether a peer serves
	Joins          uint64 // attempts to join the network
	Corrections    uint64 // records sent to holders of a worse one or none
	Cached         uint64 // copies left with a peer on the way of a get
	Republished    uint64 // records and announcements of ours published again
	Replicated     uint64 // records and announcements of others sent to those closest to them
	HandedOver     uint64 // records and announcements given to those who are to hold them instead of or beside us
	Shed           uint64 // records and announcements dropped from a full store for nearer ones

	InboundFindNode     uint64 // requests answered, by kind
	InboundGetValue     uint64
	InboundPutValue     uint64
	InboundGetProviders uint64
	InboundAddProvider  uint64
	InboundPing         uint64
	InboundRefused      uint64 // streams reset: too many, malformed, or a refused record

	Contacts       int  // in the routing table
	Suspects       int  // of them, those that did not answer when they were last asked
	Pending        int  // peers that wait for a place in it
	Offline        bool // nobody answers any more
	InboundStreams int  // being served
	Values         int  // in the store
	Providers      int  // announcements in the store
	Publications   int  // records and announcements of ours, to be published again
	Server         bool // whether the node serves
}

// counters are the counters of [Stats], as they are counted.
type counters struct {
	lookups, requests, requestsFailed, probes, joins               atomic.Uint64
	corrections, cached, republished, replicated, handedOver, shed atomic.Uint64
	findNode, getValue, putValue, getProviders, addProvider, ping  atomic.Uint64
	inboundRefused                                                 atomic.Uint64
}

// countInbound counts a request that was answered.
func (c *counters) countInbound(req protocol.Request, err error) {
	if err != nil {
		return // counted when the stream is reset
	}
	switch req.(type) {
	case protocol.FindNode:
		c.findNode.Add(1)
	case protocol.GetValue:
		c.getValue.Add(1)
	case protocol.PutValue:
		c.putValue.Add(1)
	case protocol.GetProviders:
		c.getProviders.Add(1)
	case protocol.AddProvider:
		c.addProvider.Add(1)
	case protocol.Ping:
		c.ping.Add(1)
	}
}

// Stats returns the counters and gauges of the DHT.
func (d *DHT) Stats() Stats {
	c := &d.stats
	values, providers := d.store.Len()
	table := d.peers.stats()
	serving, _ := d.mode.current()
	return Stats{
		Lookups:        c.lookups.Load(),
		Requests:       c.requests.Load(),
		RequestsFailed: c.requestsFailed.Load(),
		Probes:         c.probes.Load(),
		Joins:          c.joins.Load(),
		Corrections:    c.corrections.Load(),
		Cached:         c.cached.Load(),
		Republished:    c.republished.Load(),
		Replicated:     c.replicated.Load(),
		HandedOver:     c.handedOver.Load(),
		Shed:           c.shed.Load(),

		InboundFindNode:     c.findNode.Load(),
		InboundGetValue:     c.getValue.Load(),
		InboundPutValue:     c.putValue.Load(),
		InboundGetProviders: c.getProviders.Load(),
		InboundAddProvider:  c.addProvider.Load(),
		InboundPing:         c.ping.Load(),
		InboundRefused:      c.inboundRefused.Load(),

		Contacts:       table.Contacts,
		Suspects:       table.Suspects,
		Pending:        table.Pending,
		Offline:        table.Offline,
		InboundStreams: d.inbound.len(),
		Values:         values,
		Providers:      providers,
		Publications:   d.agenda.len(),
		Server:         serving == ModeServer,
	}
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
	peer.AddrInfo               // its addresses, as they are told to others
	LastSeen      time.Time     // when it last answered
	RTT           time.Duration // round trip, smoothed by the host; 0 if unknown
	Suspect       bool          // it did not answer when it was last asked
}

// Table returns the routing table.
func (d *DHT) Table() []Bucket {
	var table []Bucket
	for _, b := range d.peers.buckets() {
		out := Bucket{CPL: b.CPL, Pending: b.Pending, Contacts: make([]Contact, 0, len(b.Contacts))}
		for _, c := range b.Contacts {
			var addrs []multiaddr.Multiaddr
			if p, err := announcement(c.Wire).peer(); err == nil {
				addrs = p.Addrs
			}
			out.Contacts = append(out.Contacts, Contact{
				AddrInfo: peer.AddrInfo{ID: c.ID, Addrs: addrs},
				LastSeen: c.Seen,
				Suspect:  c.Suspect,
				RTT:      d.host.Peerstore().LatencyEWMA(c.ID),
			})
		}
		table = append(table, out)
	}
	return table
}

// recent returns the contacts that have addresses, the most recently seen first.
func (d *DHT) recent() []keptContact {
	var kept []keptContact
	for _, b := range d.Table() {
		for _, c := range b.Contacts {
			if len(c.Addrs) > 0 {
				kept = append(kept, keptContact{c.AddrInfo, c.RTT, c.LastSeen})
			}
		}
	}
	slices.SortFunc(kept, func(a, b keptContact) int { return b.Proof.Compare(a.Proof) })
	return kept
}
