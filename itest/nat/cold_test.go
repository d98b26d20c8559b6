//go:build linux

package nat

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A milestone is what has been reached at a time after the start of both nodes.
type milestone struct {
	what string
	at   time.Duration
}

// Two nodes behind a NAT each start at the same time: when is what true, until they
// are connected directly.
func TestColdStart(t *testing.T) {
	var b strings.Builder
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"nothing forced", nil},
		{"reachability forced", []string{"--reachability", "private"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fmt.Fprintf(&b, "%s:\n\n| after | |\n|---|---|\n", strings.ToUpper(tt.name[:1])+tt.name[1:])
			for _, m := range coldStart(t, newWorld(t, 1, Cone, Cone), tt.args) {
				t.Logf("%v %s", m.at, m.what)
				fmt.Fprintf(&b, "| %s | %s |\n", seconds(m.at), m.what)
			}
			b.WriteString("\n")
		})
	}
	if !t.Failed() && b.Len() > 0 {
		record(2, "From a cold start to a connection", fmt.Sprintf(
			"A and B, behind a NAT (%s) each, start at the same time with the address of one plain node.\n\n%s", Cone, b.String()))
	}
}

// coldStart starts A and B, and returns when what was reached.
func coldStart(t *testing.T, w *world, args []string) (all []milestone) {
	t.Helper()
	begun := time.Now()
	reached := func(what string) { all = append(all, milestone{what, time.Since(begun)}) }
	a, b := w.begin(t, 0, args...), w.begin(t, 1, args...)
	reached("both listen")
	for _, n := range []*node{a, b} {
		if err := n.call(t.Context(), http.MethodGet, "/v1/ready", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	reached("lookups of both work")
	eventually(t, "B holds a relay", func(ctx context.Context) bool {
		addrs, err := b.addrs(ctx)
		return err == nil && len(relays(addrs)) > 0
	})
	reached("B has an address at a relay")
	eventually(t, "A finds B", func(ctx context.Context) bool {
		addrs, err := a.find(ctx, b.ID)
		return err == nil && len(relays(addrs)) > 0
	})
	reached("A finds that address")
	called := time.Now()
	c, err := a.connect(t.Context(), b.ID, worst)
	if err != nil || c.Via == "relayed" {
		t.Fatalf("connected %s, %v; want a direct connection", c.Via, err)
	}
	took := c.first(time.Since(called))
	all = append(all, milestone{"A is connected to B", called.Sub(begun) + took})
	reached("A is connected to B directly: " + c.Via)
	return all
}
