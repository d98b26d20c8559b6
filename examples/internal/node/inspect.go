package node

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// identify answers who and where the node is.
func identify(_ context.Context, c *call) (answer, error) {
	addrs, err := c.addrs()
	mode, reason := c.dht.Mode()
	return answer{
		"id": c.host.ID().String(), "addrs": addrs,
		"mode": mode.String(), "mode_reason": reason, "network": c.settings.dht.Network,
	}, err
}

// ready waits until lookups work.
func ready(ctx context.Context, c *call) (answer, error) {
	if err := c.dht.Ready(ctx); err != nil {
		return answer{"ready": false}, err
	}
	return answer{"ready": true}, nil
}

// connect connects to a peer: at an address, or wherever it is found.
func connect(ctx context.Context, c *call) (answer, error) {
	if c.query.Has("addr") == c.query.Has("id") {
		return nil, badArgument("the peer is missing or given twice: use addr=MULTIADDR/p2p/ID or id=ID")
	}
	if c.query.Has("addr") {
		return connectAt(ctx, c)
	}
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	if id == c.host.ID() {
		return nil, badArgument("%s is this node itself", id)
	}
	var opts []lrouting.Option
	if c.query.Has("direct") {
		wait, err := time.ParseDuration(c.query.Get("direct"))
		if err != nil || wait < 0 {
			return nil, badArgument("direct is %q: use how long to wait for a direct connection, such as 0s or 10s", c.query.Get("direct"))
		}
		opts = append(opts, kad.WaitDirect(wait))
	}
	got, err := c.dht.Connect(ctx, id, opts...)
	body := answer{"connected": err == nil, "id": id.String(), "steps": stepsOf(got.Steps)}
	if err != nil {
		return body, &peerError{fmt.Errorf("connecting to %s: %w", id, err)}
	}
	body["via"], body["addr"] = got.Via.String(), got.Addr.String()
	return body, nil
}

// pingPeer connects to a peer as connect does, and answers how long a ping took.
func pingPeer(ctx context.Context, c *call) (answer, error) {
	body, err := connect(ctx, c)
	if err != nil {
		return body, err
	}
	id, err := peer.Decode(body["id"].(string))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(network.WithAllowLimitedConn(ctx, "api"))
	defer cancel()
	got, ok := <-ping.Ping(ctx, c.host, id)
	if !ok {
		got.Error = context.Cause(ctx)
	}
	if got.Error != nil {
		return nil, &peerError{fmt.Errorf("pinging %s: %w", id, got.Error)}
	}
	agent, _ := c.host.Peerstore().Get(id, "AgentVersion")
	return answer{"id": id.String(), "via": c.via(id), "rtt_ms": float64(got.RTT) / float64(time.Millisecond), "agent": agent}, nil
}

// stepsOf returns the steps of a connection as JSON has them.
func stepsOf(steps []kad.Step) []answer {
	list := make([]answer, len(steps))
	for i, s := range steps {
		list[i] = answer{"name": s.Name, "took_ms": s.Took.Milliseconds(), "addrs": texts(s.Addrs)}
		if s.Err != nil {
			list[i]["error"] = OneLine(s.Err)
		}
	}
	return list
}

// connectAt connects to a peer at the address that the call gives.
func connectAt(ctx context.Context, c *call) (answer, error) {
	infos, err := kad.ParseAddrs(c.query.Get("addr"))
	if err != nil {
		return nil, badArgument("addr: %v", err)
	}
	info := infos[0]
	if info.ID == c.host.ID() {
		return nil, badArgument("%s is this node itself", info.ID)
	}
	if s, ok := c.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID) // who asks for it wants it tried now
	}
	if err := c.host.Connect(network.WithAllowLimitedConn(ctx, "api"), info); err != nil {
		return nil, &peerError{fmt.Errorf("connecting to %s: %w", info.ID, err)}
	}
	return answer{"connected": true, "via": c.via(info.ID), "id": info.ID.String()}, nil
}

// via returns how a peer is connected.
func (c *call) via(id peer.ID) string {
	for _, conn := range c.host.Network().ConnsToPeer(id) {
		if !relayed(conn) {
			return "direct"
		}
	}
	return "relayed"
}

// relayed reports whether a connection goes through a relay.
func relayed(conn network.Conn) bool {
	_, err := conn.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil || conn.Stat().Limited
}

// findPeer answers with the addresses of a peer, and where each comes from.
func findPeer(ctx context.Context, c *call) (answer, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	found, err := c.dht.Locate(ctx, id)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(found.Addrs))
	located := make([]answer, len(found.Addrs))
	for i, a := range found.Addrs {
		addrs[i] = a.Addr.String()
		located[i] = answer{"addr": addrs[i], "source": a.Source.String(), "from": a.From.String()}
		if a.Age >= 0 {
			located[i]["age_ms"] = a.Age.Milliseconds()
		}
	}
	return answer{"id": found.ID.String(), "addrs": addrs, "located": located}, nil
}

// closest answers with the peers that are closest to a key.
func closest(ctx context.Context, c *call) (answer, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	infos, err := c.dht.ClosestPeers(ctx, key)
	peers := make([]peerJSON, len(infos))
	for i, info := range infos {
		peers[i] = peerOf(info)
	}
	return answer{"peers": peers}, err
}

// A contactJSON is a contact of the routing table in an answer.
type contactJSON struct {
	peerJSON

	LastSeen int64   `json:"last_seen_ms"` // how long ago
	RTT      float64 `json:"rtt_ms"`       // 0 if it is unknown
}

// A bucketJSON is a bucket of the routing table in an answer.
type bucketJSON struct {
	CPL      int           `json:"cpl"`
	Contacts []contactJSON `json:"contacts"`
	Pending  int           `json:"pending"`
}

// table answers with the routing table.
func table(_ context.Context, c *call) (answer, error) {
	size := 0
	buckets := []bucketJSON{}
	for _, b := range c.dht.Table() {
		out := bucketJSON{CPL: b.CPL, Contacts: []contactJSON{}, Pending: b.Pending}
		for _, contact := range b.Contacts {
			size++
			out.Contacts = append(out.Contacts, contactJSON{
				peerJSON: peerOf(contact.AddrInfo),
				LastSeen: time.Since(contact.LastSeen).Milliseconds(),
				RTT:      float64(contact.RTT) / float64(time.Millisecond),
			})
		}
		buckets = append(buckets, out)
	}
	return answer{"size": size, "buckets": buckets}, nil
}

// stats answers with the counters and gauges.
func stats(_ context.Context, c *call) (answer, error) {
	s := c.dht.Stats()
	body := answer{
		"lookups":         s.Lookups,
		"requests":        s.Requests,
		"requests_failed": s.RequestsFailed,
		"probes":          s.Probes,
		"joins":           s.Joins,
		"corrections":     s.Corrections,
		"cached":          s.Cached,
		"published":       s.Published,
		"publish_failed":  s.PublishFailed,
		"republished":     s.Republished,
		"replicated":      s.Replicated,
		"handed_over":     s.HandedOver,
		"shed":            s.Shed,
		"expired":         s.Expired,

		"lookup_hops": s.LookupHops, "lookup_confidence": s.LookupConfidence,
		"bytes_in": s.BytesIn, "bytes_out": s.BytesOut,
		"dials": s.Dials, "dials_failed": s.DialsFailed, "dials_under_way": s.DialsUnderWay, "dials_queued": s.DialsQueued,
		"limit_streams": s.LimitStreams, "limit_memory": s.LimitMemory, "limit_turns": s.LimitTurns,
		"limit_share": s.LimitShare, "limit_store": s.LimitStore, "limit_named": s.LimitNamed,

		"relay_reservations": s.RelayReservations, "relay_circuits": s.RelayCircuits,
		"relay_bytes": s.RelayBytes, "relay_refused": s.RelayRefused,

		"inbound_find_node":     s.InboundFindNode,
		"inbound_get_value":     s.InboundGetValue,
		"inbound_put_value":     s.InboundPutValue,
		"inbound_get_providers": s.InboundGetProviders,
		"inbound_add_provider":  s.InboundAddProvider,
		"inbound_ping":          s.InboundPing,
		"inbound_refused":       s.InboundRefused,

		"contacts": s.Contacts, "suspects": s.Suspects, "pending": s.Pending,
		"offline": s.Offline, "single": s.Single,
		"inbound_streams": s.InboundStreams,
		"values":          s.Values,
		"providers":       s.Providers,
		"server":          s.Server,
		"relays":          s.Relays,
		"reachability":    int(s.Reachability), // 0 unknown, 1 public, 2 private
		"nat":             int(s.NAT),          // 0 unknown, 1 and 2 as in kad_nat_type
		"network_size":    math.Round(s.NetworkSize),
		"lateness_ms":     s.Lateness.Milliseconds(),

		"publications": s.Publications, "publications_overdue": s.PublicationsOverdue,
		"publications_next_hour": s.PublicationsNextHour, "publications_under_way": s.PublicationsUnderWay,

		"uptime_ms":   time.Since(c.started).Milliseconds(),
		"connections": len(c.host.Network().Conns()),
		"peers":       len(c.host.Network().Peers()),
		"goroutines":  runtime.NumGoroutine(),
	}
	for _, due := range s.Due {
		name := strings.NewReplacer(" ", "_", "-", "_").Replace(due.Job)
		body["due_"+name+"_ms"] = max(0, time.Until(due.At).Milliseconds())
	}
	return body, nil
}
