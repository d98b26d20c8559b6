package node

import (
	"fmt"
	"strings"
	"testing"
)

// The metrics of a node are those of its DHT, beside those of libp2p.
func TestMetrics(t *testing.T) {
	a := start(t)
	b := start(t, "--join", a.Addrs[0])
	b.get("GET /v1/ready", "")
	b.get("GET /v1/closest?key=abc", "")
	r := b.do("GET /metrics", "")
	stats := b.get("GET /v1/stats", "")
	text := "\n" + string(r.body)
	for _, want := range []string{
		"\nkad_contacts 1\n", "\nkad_server 1\n", "\nkad_bucket_contacts{cpl=\"0\"} 1\n",
		fmt.Sprintf("\nkad_lookups_total %v\n", stats["lookups"]), "\nlibp2p_", "\ngo_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("GET /metrics has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%d %s", r.status, r.body)
	}
}
