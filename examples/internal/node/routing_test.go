package node

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/boxo/routing/http/client"
	"github.com/ipfs/boxo/routing/http/types"
	routingiter "github.com/ipfs/boxo/routing/http/types/iter"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/prometheus/client_golang/prometheus"

	kad "github.com/go-kad/kad/host"
)

// routingPair returns two nodes that know each other, and a client of boxo that knows the URL
// of the first alone.
func routingPair(t *testing.T) (a, b *running, c *client.Client) {
	t.Helper()
	args := []string{"--routing-v1", "--ipfs-validators"}
	a = start(t, args...)
	b = start(t, append(args, "--join", a.Addrs[0])...)
	for _, n := range []*running{a, b} {
		n.get("GET /v1/ready", "")
	}
	c, err := client.New(a.API, client.WithHTTPClient(a.client))
	if err != nil {
		t.Fatal(err)
	}
	return a, b, c
}

// routed returns the IDs of peers, and checks that each has addresses.
func routed(t *testing.T, records []*types.PeerRecord) []string {
	t.Helper()
	var ids []string
	for _, r := range records {
		if len(r.Addrs) == 0 {
			t.Errorf("%s has no addresses", r.ID)
		}
		ids = append(ids, r.ID.String())
	}
	return ids
}

// The client of boxo finds providers, peers and the closest peers through a node.
func TestRoutingFinds(t *testing.T) {
	_, b, c := routingPair(t)
	id := cid.MustParse(someCID)
	none, err := c.FindProviders(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if records, err := routingiter.ReadAllResults(none); err != nil || len(records) > 0 {
		t.Errorf("before it is provided: %v, %v", records, err)
	}
	b.get("POST /v1/provide?cid="+someCID, "")
	providers, err := c.FindProviders(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	records, err := routingiter.ReadAllResults(providers)
	if err != nil || len(records) != 1 {
		t.Fatalf("providers: %v, %v; want one", records, err)
	}
	if got := routed(t, []*types.PeerRecord{records[0].(*types.PeerRecord)}); got[0] != b.ID {
		t.Errorf("providers: %v; want %s", got, b.ID)
	}

	target, err := peer.Decode(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	peers, err := c.FindPeers(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	all, err := routingiter.ReadAllResults(peers)
	if err != nil || len(all) != 1 || routed(t, all)[0] != b.ID {
		t.Errorf("peers: %v, %v", all, err)
	}
	closest, err := c.GetClosestPeers(t.Context(), peer.ToCid(target))
	if err != nil {
		t.Fatal(err)
	}
	all, err = routingiter.ReadAllResults(closest)
	if err != nil || !slices.Contains(routed(t, all), b.ID) {
		t.Errorf("closest: %v, %v; want %s", all, err, b.ID)
	}
}

// The client of boxo publishes a name through one node, and resolves it.
func TestRoutingIPNS(t *testing.T) {
	_, b, c := routingPair(t)
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	target, err := path.NewPath("/ipfs/" + someCID)
	if err != nil {
		t.Fatal(err)
	}
	record, err := ipns.NewRecord(key, target, 1, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	name := ipns.NameFromPeer(id)
	if _, err := c.GetIPNS(t.Context(), name); !errors.Is(err, lrouting.ErrNotFound) {
		t.Errorf("before it is published: %v; want not found", err)
	}
	if err := c.PutIPNS(t.Context(), name, record); err != nil {
		t.Fatal(err)
	}
	other, err := client.New(b.API, client.WithHTTPClient(b.client))
	if err != nil {
		t.Fatal(err)
	}
	got, err := other.GetIPNS(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if value, err := got.Value(); err != nil || value.String() != target.String() {
		t.Errorf("%v, %v; want %s", value, err, target)
	}
}

// Delegated routing is there if it is asked for. It streams if the client wants that, cannot
// announce another peer, and is measured.
func TestRoutingEdges(t *testing.T) {
	a, b, _ := routingPair(t)
	b.get("POST /v1/provide?cid="+someCID, "")
	r := a.do("GET /routing/v1/providers/"+someCID, "", "Accept", "application/x-ndjson")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/x-ndjson" || strings.Count(string(r.body), "\n") != 1 {
		t.Errorf("NDJSON: %d %v %q", r.status, r.header, r.body)
	}
	if r := a.do("GET /routing/v1/providers/abc", "", "Accept", "application/json"); r.status != http.StatusBadRequest {
		t.Errorf("no CID: %d %s", r.status, r.body)
	}
	if r := a.do("PUT /routing/v1/providers/", `{"Providers":[]}`); r.status == http.StatusOK && strings.Contains(string(r.body), b.ID) {
		t.Errorf("announced another peer: %d %s", r.status, r.body)
	}
	if r := a.do("GET /metrics", ""); !strings.Contains(string(r.body), "delegated_routing_server") {
		t.Error("it is not in the metrics")
	}
	if r := a.do("GET /routing/v1/providers/"+someCID, "", "Origin", "https://example.com", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Errorf("from a page: %d", r.status)
	}
	without := start(t)
	if r := without.do("GET /routing/v1/providers/"+someCID, ""); r.status != http.StatusNotFound {
		t.Errorf("without the flag: %d %s", r.status, r.body)
	}
}

// What fails has the status that the API of the node has for it, and the words of the command
// line: "nobody could be asked" is not "nobody has it", and a node without the validators of
// IPFS keeps no names.
func TestRoutingFailures(t *testing.T) {
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d, err := kad.New(h, kad.Config{Network: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	routing := newRouting(d, prometheus.NewRegistry())
	const name = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"
	ask := func(path, says string, status int) {
		t.Helper()
		w := httptest.NewRecorder()
		routing.ServeHTTP(w, httptest.NewRequest(http.MethodGet, routingPath+path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %s; want %d and %s", path, w.Code, w.Body, status, says)
		}
	}
	ask("ipns/"+name, "--ipfs-validators", http.StatusConflict)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"providers/" + someCID, "peers/" + name, "dht/closest/peers/" + someCID} {
		ask(path, "closed", http.StatusServiceUnavailable)
	}
}

// A search that no peer answers has the status of an answer that did not come, and not that of a
// requester that has gone.
func TestRoutingUnanswered(t *testing.T) {
	hosts, nodes := [2]host.Host{}, [2]*kad.DHT{}
	for i := range hosts {
		var err error
		if hosts[i], err = libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")); err != nil {
			t.Fatal(err)
		}
		defer hosts[i].Close()
		if nodes[i], err = kad.New(hosts[i], kad.Config{Network: "/test", Mode: kad.ModeServer}); err != nil {
			t.Fatal(err)
		}
		defer nodes[i].Close()
	}
	if err := hosts[0].Connect(t.Context(), peer.AddrInfo{ID: hosts[1].ID(), Addrs: hosts[1].Addrs()}); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hosts[1].Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	newRouting(nodes[0], prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, routingPath+"providers/"+someCID, nil))
	if w.Code != http.StatusBadGateway {
		t.Errorf("%d %s; want %d", w.Code, w.Body, http.StatusBadGateway)
	}
}
