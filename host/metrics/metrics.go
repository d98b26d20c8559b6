// Package metrics has the counters, gauges and histograms of a DHT for Prometheus. Register its
// collector where you like:
//
//	prometheus.MustRegister(metrics.New(d))
//
// grafana.json beside it is a dashboard for Grafana with all of them.
//
// The names begin with kad_. The DHT counts in any case, and the collector reads its Stats
// and Table when Prometheus asks: to answer requests costs nothing more.
package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	kad "github.com/go-kad/kad/host"
)

// A metric is one number of the Stats, under a name and perhaps a value of its label.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label []string
	of    func(s kad.Stats) float64
}

// A histogram is the times of one kind of thing, by the kind of request and by outcome.
type histogram struct {
	desc *prometheus.Desc
	of   func(s kad.Stats) []kad.Timed
}

// A collector reads the numbers of a DHT.
type collector struct {
	dht        *kad.DHT
	metrics    []metric
	histograms []histogram
	buckets    *prometheus.Desc
	due        *prometheus.Desc
}

// New returns a collector of the counters and gauges of d. To register those of several
// DHTs in one registry, wrap it with prometheus.WrapRegistererWith and a label for each.
// After d is closed, it returns the last values.
func New(d *kad.DHT) prometheus.Collector {
	return &collector{
		dht:        d,
		metrics:    append(counters(), gauges()...),
		histograms: histograms(),
		buckets:    prometheus.NewDesc("kad_bucket_contacts", "Contacts in the routing table, by how many first bits their keys share with ours.", []string{"cpl"}, nil),
		due:        prometheus.NewDesc("kad_due_timestamp_seconds", "When a task that the node does by itself is due at the latest, by task.", []string{"task"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	var last *prometheus.Desc
	for _, m := range c.metrics {
		if m.desc != last {
			out <- m.desc
		}
		last = m.desc
	}
	for _, h := range c.histograms {
		out <- h.desc
	}
	out <- c.buckets
	out <- c.due
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	stats := c.dht.Stats()
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(stats), m.label...)
	}
	for _, h := range c.histograms {
		for _, t := range h.of(stats) {
			out <- prometheus.MustNewConstHistogram(h.desc, t.Count, t.Sum.Seconds(), within(t.Times), t.Kind, t.Outcome)
		}
	}
	for _, due := range stats.Due {
		out <- prometheus.MustNewConstMetric(c.due, prometheus.GaugeValue, float64(due.At.UnixMilli())/1000, due.Job)
	}
	for _, b := range c.dht.Table() {
		out <- prometheus.MustNewConstMetric(c.buckets, prometheus.GaugeValue, float64(len(b.Contacts)), strconv.Itoa(b.CPL))
	}
}

// one returns a metric without label.
func one(kind prometheus.ValueType, name, help string, of func(s kad.Stats) float64) metric {
	return metric{desc: prometheus.NewDesc(name, help, nil, nil), kind: kind, of: of}
}

// A part is the number for one value of a label.
type part struct {
	value string
	of    func(s kad.Stats) float64
}

// split returns the metrics of one name, one for each value of a label.
func split(kind prometheus.ValueType, name, help, label string, parts ...part) []metric {
	desc := prometheus.NewDesc(name, help, []string{label}, nil)
	list := make([]metric, len(parts))
	for i, p := range parts {
		list[i] = metric{desc, kind, []string{p.value}, p.of}
	}
	return list
}

// counters are what a DHT counts since it was made.
func counters() []metric {
	const kind = prometheus.CounterValue
	list := []metric{
		one(kind, "kad_lookups_total", "Lookups started.", func(s kad.Stats) float64 { return float64(s.Lookups) }),
		one(kind, "kad_requests_total", "Requests to peers, except probes.", func(s kad.Stats) float64 { return float64(s.Requests) }),
		one(kind, "kad_requests_failed_total", "Requests sent that were refused or had no answer.", func(s kad.Stats) float64 { return float64(s.RequestsFailed) }),
		one(kind, "kad_probes_total", "Requests that check whether a peer serves.", func(s kad.Stats) float64 { return float64(s.Probes) }),
		one(kind, "kad_joins_total", "Attempts to join the network.", func(s kad.Stats) float64 { return float64(s.Joins) }),
		one(kind, "kad_records_shed_total", "Records and announcements dropped from a full store for nearer ones.", func(s kad.Stats) float64 { return float64(s.Shed) }),
		one(kind, "kad_inbound_refused_total", "Requests of peers that were malformed, too many, or refused for their record.", func(s kad.Stats) float64 { return float64(s.InboundRefused) }),
	}
	list = append(list,
		one(kind, "kad_records_expired_total", "Records and announcements removed since their time was over.", func(s kad.Stats) float64 { return float64(s.Expired) }),
		one(kind, "kad_lookup_hops_total", "Hops of the lookups that have ended, added up.", func(s kad.Stats) float64 { return float64(s.LookupHops) }),
		one(kind, "kad_lookup_confidence_total", "Confidence, from 0 to 1, of the lookups that have ended, added up.", func(s kad.Stats) float64 { return s.LookupConfidence }),
		one(kind, "kad_dials_total", "Dials begun by requests and the upkeep.", func(s kad.Stats) float64 { return float64(s.Dials) }),
		one(kind, "kad_relay_bytes_total", "Bytes that the node has carried as a relay, in both directions.", func(s kad.Stats) float64 { return float64(s.RelayBytes) }),
		one(kind, "kad_relay_refused_total", "Reservations and connections for which the relay had no room.", func(s kad.Stats) float64 { return float64(s.RelayRefused) }),
		one(kind, "kad_dials_failed_total", "Dials that reached no peer.", func(s kad.Stats) float64 { return float64(s.DialsFailed) }),
	)
	list = append(list, split(kind, "kad_bytes_total", "Bytes of messages of the DHT, in requests and answers, by direction.", "direction",
		part{"in", func(s kad.Stats) float64 { return float64(s.BytesIn) }},
		part{"out", func(s kad.Stats) float64 { return float64(s.BytesOut) }},
	)...)
	list = append(list, split(kind, "kad_limits_total", "Bounds that were reached, by which.", "limit",
		part{"streams", func(s kad.Stats) float64 { return float64(s.LimitStreams) }},
		part{"memory", func(s kad.Stats) float64 { return float64(s.LimitMemory) }},
		part{"turns", func(s kad.Stats) float64 { return float64(s.LimitTurns) }},
		part{"share", func(s kad.Stats) float64 { return float64(s.LimitShare) }},
		part{"store", func(s kad.Stats) float64 { return float64(s.LimitStore) }},
		part{"named", func(s kad.Stats) float64 { return float64(s.LimitNamed) }},
	)...)
	list = append(list, split(kind, "kad_records_sent_total", "Records and announcements sent to peers, by why.", "why",
		part{"corrected", func(s kad.Stats) float64 { return float64(s.Corrections) }},
		part{"cached", func(s kad.Stats) float64 { return float64(s.Cached) }},
		part{"republished", func(s kad.Stats) float64 { return float64(s.Republished) }},
		part{"replicated", func(s kad.Stats) float64 { return float64(s.Replicated) }},
		part{"handed_over", func(s kad.Stats) float64 { return float64(s.HandedOver) }},
	)...)
	list = append(list, split(kind, "kad_published_total", "Records and announcements of this node published, for the first time or again, by outcome.", "outcome",
		part{"done", func(s kad.Stats) float64 { return float64(s.Published) }},
		part{"failed", func(s kad.Stats) float64 { return float64(s.PublishFailed) }},
	)...)
	return append(list, split(kind, "kad_inbound_requests_total", "Requests of peers answered, by type.", "type",
		part{"find_node", func(s kad.Stats) float64 { return float64(s.InboundFindNode) }},
		part{"get_value", func(s kad.Stats) float64 { return float64(s.InboundGetValue) }},
		part{"put_value", func(s kad.Stats) float64 { return float64(s.InboundPutValue) }},
		part{"get_providers", func(s kad.Stats) float64 { return float64(s.InboundGetProviders) }},
		part{"add_provider", func(s kad.Stats) float64 { return float64(s.InboundAddProvider) }},
		part{"ping", func(s kad.Stats) float64 { return float64(s.InboundPing) }},
	)...)
}

// gauges are the state of a DHT now.
func gauges() []metric {
	const kind = prometheus.GaugeValue
	list := []metric{
		one(kind, "kad_contacts", "Contacts in the routing table.", func(s kad.Stats) float64 { return float64(s.Contacts) }),
		one(kind, "kad_suspects", "Contacts that did not answer when they were last asked.", func(s kad.Stats) float64 { return float64(s.Suspects) }),
		one(kind, "kad_pending", "Peers that wait for a place in the routing table.", func(s kad.Stats) float64 { return float64(s.Pending) }),
		one(kind, "kad_single", "1 if this node is the only server of its network.", func(s kad.Stats) float64 { return yes(s.Single) }),
		one(kind, "kad_offline", "1 if there are contacts, and none answers, or almost none.", func(s kad.Stats) float64 { return yes(s.Offline) }),
		one(kind, "kad_lateness_seconds", "How late the timers of the node fire while requests are under way.", func(s kad.Stats) float64 { return s.Lateness.Seconds() }),
		one(kind, "kad_server", "1 if the node serves other peers.", func(s kad.Stats) float64 { return yes(s.Server) }),
		one(kind, "kad_reachability", "Whether other peers can dial the node: 0 unknown, 1 they can, 2 they cannot.", func(s kad.Stats) float64 { return float64(s.Reachability) }),
		one(kind, "kad_nat_type", "How the router maps ports: 0 unknown, 1 the same for all peers, 2 another for each peer.", func(s kad.Stats) float64 { return float64(s.NAT) }),
		one(kind, "kad_relays", "Relays that have a reservation for the node.", func(s kad.Stats) float64 { return float64(s.Relays) }),
		one(kind, "kad_relay_reservations", "Peers that have a reservation at this node, as their relay.", func(s kad.Stats) float64 { return float64(s.RelayReservations) }),
		one(kind, "kad_relay_circuits", "Connections between other peers that go through this node.", func(s kad.Stats) float64 { return float64(s.RelayCircuits) }),
		one(kind, "kad_network_size", "Nodes that serve in the network, by an estimate; 0 if unknown.", func(s kad.Stats) float64 { return s.NetworkSize }),
		one(kind, "kad_dials_under_way", "Dials that have begun and not ended.", func(s kad.Stats) float64 { return float64(s.DialsUnderWay) }),
		one(kind, "kad_dials_queued", "Dials that wait for others to end.", func(s kad.Stats) float64 { return float64(s.DialsQueued) }),
		one(kind, "kad_inbound_streams", "Streams being served.", func(s kad.Stats) float64 { return float64(s.InboundStreams) }),
		one(kind, "kad_publications", "Records and announcements of this node, to be published again.", func(s kad.Stats) float64 { return float64(s.Publications) }),
	}
	list = append(list, split(kind, "kad_publications_due", "Publications of this node that are overdue, due within an hour, or under way.", "when",
		part{"overdue", func(s kad.Stats) float64 { return float64(s.PublicationsOverdue) }},
		part{"next_hour", func(s kad.Stats) float64 { return float64(s.PublicationsNextHour) }},
		part{"under_way", func(s kad.Stats) float64 { return float64(s.PublicationsUnderWay) }},
	)...)
	return append(list, split(kind, "kad_records_held", "Records in the store, by kind.", "kind",
		part{"value", func(s kad.Stats) float64 { return float64(s.Values) }},
		part{"announcement", func(s kad.Stats) float64 { return float64(s.Providers) }},
	)...)
}

// histograms are how long things took since the DHT was made.
func histograms() []histogram {
	labels := []string{"type", "outcome"}
	return []histogram{
		{prometheus.NewDesc("kad_request_duration_seconds", "Requests sent, each attempt with its dial, by type and outcome.", labels, nil), func(s kad.Stats) []kad.Timed { return s.Sent }},
		{prometheus.NewDesc("kad_inbound_request_duration_seconds", "Requests of peers until their answer was ready, by type and outcome.", labels, nil), func(s kad.Stats) []kad.Timed { return s.Served }},
		{prometheus.NewDesc("kad_lookup_duration_seconds", "Lookups, by the type of their requests and how they ended.", labels, nil), func(s kad.Stats) []kad.Timed { return s.LookedUp }},
		{prometheus.NewDesc("kad_operation_duration_seconds", "Operations that were called, by type and outcome.", labels, nil), func(s kad.Stats) []kad.Timed { return s.Operations }},
	}
}

// within returns how many times are within each bound, in seconds.
func within(t kad.Times) map[float64]uint64 {
	m := make(map[float64]uint64, len(t.Within))
	for i, n := range t.Within {
		m[kad.TimesBound(i).Seconds()] = n
	}
	return m
}

// yes returns 1 for true, and 0 for false.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
