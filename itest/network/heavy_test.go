package network_test

import (
	"cmp"
	"os"
	"strconv"
	"testing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// heavyKeys is how many contents a client announces at once: make hostile sets 100 000.
func heavyKeys(t *testing.T) int {
	t.Helper()
	keys, err := strconv.Atoi(cmp.Or(os.Getenv("KAD_HEAVY_KEYS"), "1000"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// One client announces many contents, in a network in which each server is to hold all of them:
// no server refuses any.
func TestHeavyUserPublishes(t *testing.T) { bubble(t, testHeavyUserPublishes) }

func testHeavyUserPublishes(t *testing.T) {
	const servers = 20
	keys := heavyKeys(t)
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	nodes := joined(n, servers, kad.Config{})
	client := joined(n, 1, kad.Config{Mode: kad.ModeClient})[0]
	announced, stored, failed := 0, 0, 0
	var first error
	spent := took(func() {
		for r := range client.DHT.AnnounceMany(t.Context(), contents(t, keys)) {
			if r.Err == nil {
				announced++
			}
			first = cmp.Or(first, r.Err)
			stored += len(r.Receipt.Stored)
			for _, err := range r.Receipt.Failed {
				failed++
				first = cmp.Or(first, err)
			}
		}
	})
	missing := unfound(t, nodes[0], client, keys, keys/100)
	t.Logf("%d of %d contents announced in %v, by %.2f peers each; %d requests failed, first with %v; %d of 100 not found",
		announced, keys, spent, float64(stored)/float64(keys), failed, first, missing)
	if announced < keys || failed > keys/100 || missing > 0 {
		t.Errorf("%d of %d announced, %d requests failed, %d of 100 not found", announced, keys, failed, missing)
	}
}
