//go:build linux

package nat

import (
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/need"
)

// oneWay is the latency of the labs in which peers are measured.
const oneWay = 25 * time.Millisecond

// lacks says what keeps this machine from having a lab, and from having latency
// in it.
var lacks = sync.OnceValues(func() (lab, latency string) {
	if lab = Missing(); lab == "" {
		latency = NoLatency()
	}
	return lab, latency
})

// up builds a lab, which is removed when the test is over. The need nat is missing where
// there can be none.
func up(t *testing.T, p Plan) *Lab {
	t.Helper()
	missing, noLatency := lacks()
	if missing != "" {
		need.Missing(t, "nat", missing)
	}
	if p.Latency > 0 && noLatency != "" {
		t.Logf("without latency: %s", noLatency)
		p.Latency = 0
	}
	l, err := Up(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Down)
	return l
}
