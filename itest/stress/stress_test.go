//go:build unix

package stress

import (
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/program"
)

// No answer of a small network is false, while its nodes are killed, stopped and continued.
// make stress is the same with more nodes, for 10 minutes, and with clocks that are wrong: a
// program with these takes minutes to build.
func TestStress(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 40 s")
	}
	var out strings.Builder
	report, err := Run(t.Context(), Config{
		Nodes: MinNodes + 1, K: 6, For: 25 * time.Second, Parallel: 16, Every: time.Second, Progress: 5 * time.Second,
		Settling: 4 * time.Second, Seed: uint64(time.Now().UnixNano()),
		Dir: t.TempDir(), Program: program.Build(t, "./examples/node"),
	}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	if report.False() > 0 {
		t.Error("some answers are false")
	}
	for k := range kinds {
		c := report.kinds[k]
		if c.all == 0 {
			t.Errorf("there was no %v", k)
		}
		if k <= providers && 2*c.outcomes[fine] < c.all {
			t.Errorf("%d of %d of %v succeeded", c.outcomes[fine], c.all, k)
		}
	}
	for m, n := range report.mishaps {
		if n == 0 {
			t.Errorf("no node was %v", mishap(m))
		}
	}
	if report.held.all == 0 {
		t.Error("no peer was asked for what it had acknowledged")
	}
	t.Log(out.String())
}
