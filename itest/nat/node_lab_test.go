//go:build linux

package nat

import (
	"context"
	"net/http"
	"net/url"
	"testing"
)

// Public nodes find each other, and who is behind a NAT finds them by their IDs,
// but does not serve: nobody outside could ask it.
func TestNetworkInLab(t *testing.T) {
	w := settle(t, up(t, Plan{Public: 4, Behind: []Flavour{Cone}, Latency: oneWay}), 0)
	inside := w.begin(t, 0)
	eventually(t, "the node behind the NAT knows all public ones", func(ctx context.Context) bool {
		return inside.contacts(ctx) == len(w.public)
	})
	var c connection
	err := inside.call(t.Context(), http.MethodPost, "/v1/connect", url.Values{"id": {w.public[2].ID}}, &c)
	if err != nil || c.Via != "direct" {
		t.Errorf("connected %s, %v; want direct", c.Via, err)
	}
	for _, n := range w.public {
		if got := n.contacts(t.Context()); got != len(w.public)-1 {
			t.Errorf("a public node has %d contacts, want the %d other public nodes", got, len(w.public)-1)
		}
	}
}
