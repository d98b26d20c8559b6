package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-kad/kad/itest/internal/race"
	"github.com/go-kad/kad/routing"
)

var seedFlag = flag.Uint64("sim.seed", 0, "`seed` of the tests; 0 means the usual one")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seeded returns the seed of a test: always the same one, or that of the flag. A
// test that fails says how to repeat it.
func seeded(t *testing.T, usual uint64) uint64 {
	t.Helper()
	seed := usual
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: repeat with go test ./itest/sim -run '^%s$' -sim.seed=%d", seed, t.Name(), seed)
		}
	})
	return seed
}

// rowOf returns the row with that slug.
func rowOf(t *testing.T, slug string) Row {
	t.Helper()
	rows := slices.Concat(Targets(), Others())
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Slug == slug })
	if i < 0 {
		t.Fatalf("there is no row %q", slug)
	}
	return rows[i]
}

// naiveClosest sorts all nodes by distance.
func naiveClosest(p *Population, from []int, r *rand.Rand, n int) (preimage []byte, want []int) {
	preimage = randomBytes(r)
	target := routing.KeyOf(preimage)
	all := slices.Clone(from)
	slices.SortFunc(all, func(a, b int) int { return target.Compare(p.keys[a], p.keys[b]) })
	return preimage, all[:min(n, len(all))]
}

// numbers returns those from 0 up to n.
func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func ignore(int) {}

func ExampleRunError() {
	fmt.Println(&RunError{Row: "warm", Seed: 1, Run: 7, Err: fmt.Errorf("33 requests, 32 are allowed")})
	// Output:
	// warm, run 7: 33 requests, 32 are allowed
	// replay: go run ./itest/sim/cmd/sim -row warm -seed 1 -replay 7
}

// long skips a test that takes long if the race detector is on: it would take ten times as
// long, and find nothing where there is one goroutine. make test runs it without.
func long(t *testing.T) {
	t.Helper()
	if race.Enabled {
		t.Skip("the race detector is on, and there is one goroutine")
	}
}
