//go:build linux

package nat

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// up builds a lab, which is removed when the test is over. It skips the test where
// there can be none, or fails it if KAD_ITEST_REQUIRE contains "nat": there, a
// skip would go unnoticed.
func up(t *testing.T, p Plan) *Lab {
	t.Helper()
	missing, noLatency := lacks()
	if missing != "" {
		required := strings.FieldsFunc(os.Getenv("KAD_ITEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
		if slices.Contains(required, "nat") {
			t.Fatalf("nat: %s (KAD_ITEST_REQUIRE demands it)", missing)
		}
		t.Skipf("nat: %s", missing)
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
