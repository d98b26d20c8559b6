package node

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/protocol"
)

const (
	someCID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	nobody  = "12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x"
)

// triangle starts three nodes that know each other.
func triangle(t *testing.T) []*running {
	t.Helper()
	nodes := []*running{start(t)}
	for range 2 {
		nodes = append(nodes, start(t, "--join", nodes[0].Addrs[0]))
	}
	deadline := time.Now().Add(patience)
	for _, n := range nodes {
		n.get("GET /v1/ready", "")
		for n.get("GET /v1/table", "")["size"] != 2.0 {
			if time.Now().After(deadline) {
				t.Fatalf("the nodes do not know each other: %s", n.do("GET /v1/table", "").body)
			}
		}
	}
	return nodes
}

// ids returns the IDs of a list of peers, and checks that each has addresses.
func ids(t *testing.T, list any) []string {
	t.Helper()
	got := []string{}
	for _, p := range list.([]any) {
		p := p.(map[string]any)
		got = append(got, p["id"].(string))
		if addrs, ok := p["addrs"].([]any); !ok || len(addrs) == 0 || strings.Contains(addrs[0].(string), "/p2p/") {
			t.Errorf("peer %v; want addresses without ID", p)
		}
	}
	return got
}

// checkLookup checks that an answer tells what its lookup cost.
func checkLookup(t *testing.T, object map[string]any) {
	t.Helper()
	cost, _ := object["lookup"].(map[string]any)
	for _, name := range []string{"requests", "hops", "answered"} {
		if n, ok := cost[name].(float64); !ok || n < 1 {
			t.Errorf("lookup = %v; want %s", object["lookup"], name)
		}
	}
}

// checkReceipt checks that two peers have stored something, after a lookup.
func checkReceipt(t *testing.T, receipt map[string]any) {
	t.Helper()
	checkLookup(t, receipt)
	checkStored(t, receipt)
}

// checkStored checks that two peers have stored something.
func checkStored(t *testing.T, receipt map[string]any) {
	t.Helper()
	peers, _ := receipt["peers"].([]any)
	failed, _ := receipt["failed"].(map[string]any)
	if receipt["stored"] != 2.0 || receipt["wanted"] != 2.0 || len(peers) != 2 || failed == nil || len(failed) != 0 {
		t.Errorf("receipt = %v; want that two peers stored it", receipt)
	}
}

func TestAPI(t *testing.T) {
	nodes := triangle(t)
	tests := []struct {
		name string
		test func(t *testing.T, a, b, c *running)
	}{
		{"value", testValue},
		{"sets", testSets},
		{"providers", testProviders},
		{"many contents", testProvideMany},
		{"withdraw many", testWithdrawMany},
		{"client gone", testProvideGone},
		{"rendezvous", testRendezvous},
		{"peers", testPeers},
		{"ping", testPing},
		{"inspection", testInspection},
		{"failures", testFailures},
		{"old record", testOldRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, nodes[0], nodes[1], nodes[2]) })
	}
}

func testValue(t *testing.T, a, b, c *running) {
	checkReceipt(t, a.get("PUT /v1/value?key=/v/greeting", "hello"))
	for _, n := range []*running{a, b, c} {
		r := n.do("GET /v1/value?keyhex="+hex.EncodeToString([]byte("/v/greeting")), "")
		if r.status != http.StatusOK || string(r.body) != "hello" || r.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("GET = %d %q %v", r.status, r.body, r.header)
		}
		var requests, hops, answered int
		if _, err := fmt.Sscanf(r.header.Get("X-Lookup"), "requests=%d;hops=%d;answered=%d", &requests, &hops, &answered); err != nil || answered == 0 {
			t.Errorf("X-Lookup = %q, %v", r.header.Get("X-Lookup"), err)
		}
		if _, err := time.ParseDuration(r.header.Get("X-Elapsed-Ms") + "ms"); err != nil {
			t.Errorf("X-Elapsed-Ms = %q", r.header.Get("X-Elapsed-Ms"))
		}
	}
	checkReceipt(t, b.get("PUT /v1/value?key=/v/empty&quorum=2", ""))
	if r := c.do("GET /v1/value?key=/v/empty&quorum=1", ""); r.status != http.StatusOK || len(r.body) != 0 {
		t.Errorf("GET of an empty value = %d %q", r.status, r.body)
	}
	checkReceipt(t, a.get("PUT /v1/value?key=/v/long", strings.Repeat("x", maxValue)))
	if r := b.do("GET /v1/value?key=/v/long", ""); r.status != http.StatusOK || len(r.body) != maxValue {
		t.Errorf("GET of a long value = %d, %d bytes", r.status, len(r.body))
	}
}

func testSets(t *testing.T, a, b, c *running) {
	for i, n := range []*running{a, b, a} {
		checkStored(t, n.get("PUT /v1/value?key=/s/all", fmt.Sprintf("value %d", i))) // the last one needs no lookup
	}
	for _, n := range []*running{a, b, c} {
		found := n.get("GET /v1/values?key=/s/all", "")
		checkLookup(t, found)
		list, ok := found["values"].([]any)
		if !ok || len(list) != 3 || list[0] != base64.StdEncoding.EncodeToString([]byte("value 2")) {
			t.Errorf("values = %v; want 3, the greatest first", found["values"])
		}
		if r := n.do("GET /v1/value?key=/s/all", ""); string(r.body) != "value 2" {
			t.Errorf("GET = %d %q", r.status, r.body)
		}
	}
	if got := a.get("DELETE /v1/value?key=/s/all", "")["stopped"]; got != true {
		t.Errorf("stopped = %v", got)
	}
}

func testProviders(t *testing.T, a, b, c *running) {
	checkReceipt(t, a.get("POST /v1/provide?cid="+someCID, ""))
	checkReceipt(t, b.get("POST /v1/provide?cid="+someCID, ""))
	found := c.get("GET /v1/providers?cid="+someCID, "")
	if got := ids(t, found["providers"]); len(got) != 2 {
		t.Errorf("providers = %v; want two", got)
	}
	if got := ids(t, c.get("GET /v1/providers?count=1&cid="+someCID, "")["providers"]); len(got) != 1 {
		t.Errorf("providers with count=1 = %v; want one", got)
	}
	checkLookup(t, found)
	if got := a.get("DELETE /v1/provide?cid="+someCID, "")["withdrawn"]; got != true {
		t.Errorf("withdrawn = %v", got)
	}
}

func testRendezvous(t *testing.T, a, b, _ *running) {
	checkReceipt(t, b.get("POST /v1/advertise?ns=lobby", ""))
	found := a.get("GET /v1/peers?ns=lobby&count=7", "")
	if got := ids(t, found["peers"]); len(got) != 1 || got[0] != b.ID {
		t.Errorf("peers = %v; want %s", got, b.ID)
	}
	found = a.get("GET /v1/peers?ns=nothing", "")
	checkLookup(t, found)
	if got := ids(t, found["peers"]); len(got) != 0 {
		t.Errorf("peers = %v; want none", got)
	}
}

func testPeers(t *testing.T, a, b, c *running) {
	found := c.get("GET /v1/closest?key=x", "")
	checkLookup(t, found)
	if got := ids(t, found["peers"]); len(got) != 2 {
		t.Errorf("closest = %v; want both others", got)
	}
	one := c.get("GET /v1/peer?id="+b.ID, "")
	ids(t, []any{one})
	located, _ := one["located"].([]any)
	if addrs, _ := one["addrs"].([]any); len(located) != len(addrs) {
		t.Errorf("peer = %v; want the story of each address", one)
	}
	for _, l := range located {
		if got, _ := l.(map[string]any); got["source"] != "connected" && got["source"] != "hearsay" || got["addr"] == nil || got["from"] == nil {
			t.Errorf("located = %v; want source, addr and from", l)
		}
	}
	for _, what := range []string{"addr=" + a.Addrs[0], "id=" + a.ID} {
		got := c.get("POST /v1/connect?"+what, "")
		if got["connected"] != true || got["via"] != "direct" {
			t.Errorf("connect?%s = %v", what, got)
		}
	}
}

// A peer is pinged at an address, and by its ID alone.
func testPing(t *testing.T, a, b, _ *running) {
	for _, where := range []string{"id=" + b.ID, "addr=" + b.Addrs[0]} {
		got := a.get("GET /v1/ping?"+where, "")
		if rtt, _ := got["rtt_ms"].(float64); rtt <= 0 || got["via"] != "direct" || got["agent"] != "kad-node" || got["id"] != b.ID {
			t.Errorf("ping %s = %v", where, got)
		}
	}
	if r := a.do("GET /v1/ping?id="+nobody, ""); r.status != http.StatusNotFound {
		t.Errorf("ping of a peer that there is not: %d %s; want 404", r.status, r.body)
	}
}

func testInspection(t *testing.T, a, _, _ *running) {
	id := a.get("GET /v1/id", "")
	if id["id"] != a.ID || id["network"] != "/test" || id["mode"] != "server" || id["mode_reason"] == "" || fmt.Sprint(id["addrs"]) != fmt.Sprint(a.Addrs) {
		t.Errorf("id = %v", id)
	}
	buckets := a.get("GET /v1/table", "")["buckets"].([]any)
	if len(buckets) == 0 {
		t.Fatal("the table has no buckets")
	}
	bucket := buckets[0].(map[string]any)
	for _, name := range []string{"cpl", "pending", "contacts"} {
		if _, ok := bucket[name]; !ok {
			t.Errorf("bucket = %v; want %s", bucket, name)
		}
	}
	stats := a.get("GET /v1/stats", "")
	words := regexp.MustCompile(`([a-z])([A-Z])`)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kad.Stats]()) { // all counters and gauges are there
		name := strings.ToLower(words.ReplaceAllString(f.Name, "${1}_${2}"))
		if f.Type == reflect.TypeFor[time.Duration]() {
			name += "_ms"
		}
		if _, ok := stats[name]; !ok && f.Type.Kind() != reflect.Slice && f.Name != "LastFailure" { // /v1/provide/status has it
			t.Errorf("stats has no %s", name)
		}
	}
	for name, v := range stats {
		switch v.(type) {
		case float64, bool:
		default:
			t.Errorf("stats has %s: %v; want numbers", name, v)
		}
	}
	found := a.get("GET /v1/diagnose", "")
	by, _ := found["found_by"].(map[string]any)
	nat, _ := found["nat"].(map[string]any)
	if says, _ := found["says"].([]any); len(says) == 0 || found["best"] != "" || found["offline"] != false || found["udp_blocked"] != false || found["clock_off_ms"] != 0.0 {
		t.Errorf("diagnose = %v", found)
	}
	if found["ready"] != true || found["reachability"] != "unknown" || found["mode"] != "server" || nat["tcp"] != "unknown" || nat["udp"] != "unknown" ||
		by["asked"] != 2.0 || by["told"] != 2.0 {
		t.Errorf("diagnose = %v", found)
	}
	for name, want := range map[string]int{"relays": 0, "advice": 0, "addrs": 1} {
		if got, ok := found[name].([]any); !ok || len(got) < want || want == 0 && len(got) > 0 {
			t.Errorf("diagnose has %s: %v", name, found[name])
		}
	}
}

func testFailures(t *testing.T, a, _, _ *running) {
	tests := []struct {
		what, body string
		status     int
		want       string // in the error
	}{
		{"GET /v1/value", "", 400, "key=TEXT or keyhex=HEX"},
		{"GET /v1/value?key=/v/a&keyhex=00", "", 400, "given twice"},
		{"GET /v1/value?key=", "", 400, "1 to 1024"},
		{"GET /v1/value?key=" + strings.Repeat("x", maxKey+1), "", 400, "1 to 1024"},
		{"GET /v1/value?keyhex=xyz", "", 400, "not hexadecimal"},
		{"GET /v1/value?key=foo", "", 400, "no namespace"},
		{"GET /v1/value?key=/w/foo", "", 400, "no validator"},
		{"GET /v1/value?key=/v/a&quorum=x", "", 400, "0 or more"},
		{"GET /v1/value?key=/v/nothing", "", 404, "not found"},
		{"PUT /v1/value?key=/w/foo", "x", 409, "no validator"},
		{"PUT /v1/value?key=/v/a", strings.Repeat("x", maxValue+1), 400, "up to 1048576 bytes"},
		{"PUT /v1/value?key=/v/unreached&quorum=9", "x", 502, "stored by 2 of 2"},
		{"GET /v1/closest?key=x&timeout=never", "", 400, "use a duration"},
		{"GET /v1/closest?key=x&timeout=0s", "", 400, "use a duration"},
		{"GET /v1/closest?key=x&timeout=-1s", "", 400, "use a duration"},
		{"GET /v1/closest?key=x&timeout=11m", "", 400, "10m0s"},
		{"GET /v1/closest?key=x&timeout=1s&timeout=2s", "", 400, "2 times"},
		{"GET /v1/closest?key=x&timout=1s", "", 400, `no parameter "timout"`},
		{"GET /v1/closest?key=%zz", "", 400, "cannot be read"},
		{"GET /v1/peer", "", 400, "not a peer ID"},
		{"GET /v1/peer?id=foo", "", 400, "not a peer ID"},
		{"GET /v1/peer?id=" + nobody, "", 404, "not found"},
		{"GET /v1/providers?cid=foo", "", 400, "not a CID"},
		{"GET /v1/providers?count=-1&cid=" + someCID, "", 400, "0 or more"},
		{"POST /v1/provide", "", 400, "not a CID"},
		{"DELETE /v1/provide?cid=foo", "", 400, "not a CID"},
		{"POST /v1/advertise", "", 400, "ns is missing"},
		{"GET /v1/peers?ns=", "", 400, "ns is missing"},
		{"POST /v1/connect", "", 400, "missing"},
		{"POST /v1/connect?direct=soon&id=" + nobody, "", 400, "direct is"},
		{"POST /v1/connect?addr=foo", "", 400, "not the address of a peer"},
		{"POST /v1/connect?addr=/ip4/127.0.0.1/tcp/1", "", 400, "not the address of a peer"},
		{"POST /v1/connect?id=" + a.ID, "", 400, "this node itself"},
		{"POST /v1/connect?id=" + nobody, "", 404, "not found"},
		{"POST /v1/connect?addr=/ip4/127.0.0.1/tcp/1/p2p/" + nobody, "", 502, "connecting to"},
	}
	for _, tt := range tests {
		name, _, _ := strings.Cut(tt.what, strings.Repeat("x", 10))
		t.Run(name, func(t *testing.T) {
			r := a.do(tt.what, tt.body)
			text, _ := a.object(name, r)["error"].(string)
			if r.status != tt.status || !strings.Contains(text, tt.want) || strings.Contains(text, "\n") {
				t.Errorf("%d %s; want %d %q", r.status, r.body, tt.status, tt.want)
			}
		})
	}
}

// The rules of a validator are kept by the node itself, and by the others.
func testOldRecord(t *testing.T, a, b, _ *running) {
	checkReceipt(t, a.get("PUT /v1/value?key=/v/counter", "2"))
	if r := b.do("PUT /v1/value?key=/v/counter", "1"); r.status != http.StatusConflict {
		t.Errorf("an older value = %d %s; want 409", r.status, r.body)
	}
	late := start(t, "--join", a.Addrs[0]) // does not hold it, until it is handed over
	late.get("GET /v1/ready", "")
	r := late.do("PUT /v1/value?key=/v/counter", "1")
	got := late.object("PUT", r)
	if stored, ok := got["stored"]; r.status != http.StatusConflict || ok && stored != 0.0 {
		t.Errorf("an older value that the others refuse = %d %s; want 409", r.status, r.body)
	}
}

// What is not the business of any endpoint is answered in JSON too.
func TestRefusals(t *testing.T) {
	n := start(t)
	tests := []struct {
		what   string
		header []string
		status int
	}{
		{"GET /none", nil, 404},
		{"GET /v1/foo", nil, 404},
		{"POST /v1/id", nil, 405},
		{"POST /v1/value", nil, 405},
		{"DELETE /v1/value", nil, 400},
		{"GET /v1/id", []string{"Host", "evil.example"}, 403},
		{"GET /v1/id", []string{"Host", "127.0.0.1.evil.example:80"}, 403},
		{"GET /v1/id", []string{"Host", "localhost"}, 200},
		{"GET /v1/id", []string{"Host", "[::1]:80"}, 200},
		{"PUT /v1/value?key=/v/a", []string{"Origin", "http://evil.example"}, 403},
		{"POST /v1/provide?cid=" + someCID, []string{"Origin", "http://evil.example"}, 403},
		{"POST /v1/provide?cid=" + someCID, []string{"Origin", "null"}, 403},
		{"POST /v1/provide", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"DELETE /v1/provide?cid=" + someCID, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET /v1/closest?key=x", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET /v1/id", []string{"Origin", "http://evil.example"}, 403},
		{"GET /v1/id", []string{"Sec-Fetch-Site", "none"}, 200},
		{"DELETE /v1/provide?cid=" + someCID, nil, 200},
		{"DELETE /v1/provide?cid=" + someCID, []string{"Origin", n.API}, 200},
	}
	for _, tt := range tests {
		r := n.do(tt.what, "", tt.header...)
		if r.status != tt.status || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v = %d %s; want %d", tt.what, tt.header, r.status, r.body, tt.status)
		}
		if allow := r.header.Get("Allow"); (allow != "") != (r.status == 405) {
			t.Errorf("%s: Allow = %q", tt.what, allow)
		}
	}
	if r := start(t, "--api-any").do("GET /v1/id", "", "Host", "node.example"); r.status != 200 {
		t.Errorf("with --api-any, another Host = %d %s", r.status, r.body)
	}
}

func TestNotReady(t *testing.T) {
	n := start(t)
	for _, what := range []string{
		"GET /v1/ready?timeout=1ms", "GET /v1/closest?key=x&timeout=1ms", "GET /v1/peers?ns=x&timeout=1ms",
		"GET /v1/value?key=/v/a&timeout=1ms", "PUT /v1/value?key=/v/a&timeout=1ms", "GET /v1/peer?timeout=1ms&id=" + nobody,
	} {
		r := n.do(what, "")
		if text, _ := n.object(what, r)["error"].(string); r.status != 503 || !strings.Contains(text, "bootstrap") {
			t.Errorf("%s = %d %s; want 503 and why", what, r.status, r.body)
		}
	}
	if got := n.get("GET /v1/diagnose", ""); got["ready"] != false || got["not_ready"] == "" {
		t.Errorf("diagnose = %v", got)
	}
}

// A node that stops answers what it was asked before.
func TestStopEndsRequests(t *testing.T) {
	block := make(chan struct{})
	n := &node{settings: settings{}}
	s := newServer(t.Context(), n)
	e := endpoint{handle: func(ctx context.Context, _ *call) (answer, error) {
		close(block)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	s.api.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.serve(w, r, e, nil) })
	listener := listen(t)
	served := make(chan error, 1)
	go func() { served <- s.api.Serve(listener) }()
	stopped := make(chan struct{})
	go func() { <-block; s.stop(); close(stopped) }()

	client := &running{t: t, line: line{API: "http://" + listener.Addr().String()}, client: &http.Client{Transport: new(http.Transport)}}
	defer client.client.CloseIdleConnections()
	if r := client.do("GET /", ""); r.status != 503 || !strings.Contains(string(r.body), "stopping") {
		t.Errorf("%d %s; want 503", r.status, r.body)
	}
	<-stopped
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve() = %v", err)
	}
}

func TestStatusOf(t *testing.T) {
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	putError := func(errs ...error) error {
		r := kad.Receipt{Wanted: len(errs), Failed: make(map[peer.ID]error)}
		for i, err := range errs {
			r.Failed[peer.ID(fmt.Sprint(i))] = err
		}
		return fmt.Errorf("put: %w", &kad.PutError{Receipt: r})
	}
	slow := context.DeadlineExceeded
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"argument", late, badArgument("bad"), 400},
		{"not ready in time", late, &kad.NotReadyError{Cause: slow}, 503},
		{"closed", t.Context(), kad.ErrClosed, 503},
		{"in time", t.Context(), kad.ErrNotFound, 404},
		{"few answered", t.Context(), &kad.UnansweredError{Closest: 3, Answered: 1}, 502},
		{"too late", late, slow, 504},
		{"invalid", t.Context(), kad.ErrInvalidRecord, 409},
		{"old", late, kad.ErrOldRecord, 409},
		{"put too late", late, putError(slow, slow), 504},
		{"all refused", t.Context(), putError(kad.ErrOldRecord, kad.ErrInvalidRecord), 409},
		{"some refused", t.Context(), putError(kad.ErrOldRecord, slow), 502},
		{"put to nobody", t.Context(), putError(), 502},
		{"ours", t.Context(), errors.New("store"), 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := statusOf(tt.ctx, tt.err); got != tt.want {
				t.Errorf("status = %d, want %d", got, tt.want)
			}
		})
	}
}

// The limits that are named to the caller are those of the DHT.
func TestLimits(t *testing.T) {
	if maxKey != protocol.MaxKey || maxValue != protocol.MaxValue || maxProviderKey != protocol.MaxProviderKey {
		t.Error("the limits differ from those of the protocol")
	}
}
