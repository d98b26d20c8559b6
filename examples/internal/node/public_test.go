package node

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/ipfs/boxo/routing/http/client"
	routingiter "github.com/ipfs/boxo/routing/http/types/iter"
	"github.com/ipfs/go-cid"
)

// Strangers find through an address of its own, also from web pages, and neither publish nor
// reach the API there.
func TestPublicRouting(t *testing.T) {
	a := start(t, "--routing-listen", "127.0.0.1:0", "--ipfs-validators")
	b := start(t, "--join", a.Addrs[0])
	for _, n := range []*running{a, b} {
		n.get("GET /v1/ready", "")
	}
	b.get("POST /v1/provide?cid="+someCID, "")
	c, err := client.New(a.Routing, client.WithHTTPClient(a.client))
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.FindProviders(t.Context(), cid.MustParse(someCID))
	if err != nil {
		t.Fatal(err)
	}
	if records, err := routingiter.ReadAllResults(found); err != nil || len(records) != 1 {
		t.Errorf("providers: %v, %v; want one", records, err)
	}
	if r := a.do("GET /routing/v1/providers/"+someCID, ""); r.status != http.StatusNotFound {
		t.Errorf("the API serves it without --routing-v1: %d", r.status)
	}

	public := *a
	public.API = a.Routing
	page := []string{"Origin", "https://example.com", "Sec-Fetch-Site", "cross-site"}
	for _, tt := range []struct {
		call   string
		status int
	}{
		{"GET /routing/v1/providers/" + someCID, http.StatusOK},
		{"OPTIONS /routing/v1/providers/" + someCID, http.StatusNoContent},
		{"GET /routing/v1/providers/abc", http.StatusBadRequest},
		{"PUT /routing/v1/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8", http.StatusMethodNotAllowed},
		{"PUT /routing/v1/providers", http.StatusMethodNotAllowed},
		{"GET /v1/id", http.StatusNotFound},
		{"POST /v1/provide?cid=" + someCID, http.StatusNotFound},
		{"GET /metrics", http.StatusNotFound},
		{"GET /", http.StatusNotFound},
	} {
		r := public.do(tt.call, "", page...)
		if r.status != tt.status || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v %s; want %d, for pages of any origin", tt.call, r.status, r.header, r.body, tt.status)
		}
	}
}

// The questions that are answered at a time are bounded, in all and for each address; one
// that has its answer makes room.
func TestPublicRoutingIsBounded(t *testing.T) {
	release := make(chan struct{})
	var waiting, all sync.WaitGroup
	h := newPublicRouting(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		waiting.Done()
		<-release
		_, _ = io.WriteString(w, "found")
	}))
	ask := func(from string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/routing/v1/providers/x", http.NoBody)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	hold := func(from string, n int) {
		waiting.Add(n)
		for range n {
			all.Go(func() {
				if got := ask(from); got != http.StatusOK {
					t.Errorf("a question from %s: %d", from, got)
				}
			})
		}
		waiting.Wait()
	}
	hold("192.0.2.1:1000", maxRoutedEach)
	hold("[2001:db8::1]:1000", maxRoutedEach)
	for _, from := range []string{"192.0.2.1:2000", "[2001:db8::2]:1000"} {
		if got := ask(from); got != http.StatusTooManyRequests {
			t.Errorf("one more from %s: %d, want 429", from, got)
		}
	}
	hold("192.0.2.2:1000", 1)
	hold("127.0.0.1:1000", maxRouted-2*maxRoutedEach-1) // a proxy has no share
	if got := ask("192.0.2.3:1000"); got != http.StatusServiceUnavailable {
		t.Errorf("one more in all: %d, want 503", got)
	}
	close(release)
	all.Wait()
	waiting.Add(1)
	if got := ask("192.0.2.1:1000"); got != http.StatusOK {
		t.Errorf("afterwards: %d, want 200", got)
	}
	for remote, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1/32", "[::ffff:192.0.2.1]:1": "192.0.2.1/32", "[2001:db8:0:0:1::1]:1": "2001:db8::/64", "[::1]:1": "", "x": "x",
	} {
		if got := share(remote); got != want {
			t.Errorf("share of %s is %q, want %q", remote, got, want)
		}
	}
}
