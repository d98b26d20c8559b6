package host_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// A peer that comes back without its store holds what it is to hold again within a minute. One
// that comes back with its store is sent nothing.
func TestReturned(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		t.Run(fmt.Sprint("keeps its store ", keeps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testReturned(t, keeps) })
		})
	}
}

func testReturned(t *testing.T, keeps bool) {
	const count, values = 12, 20
	n := kadtest.New(t, kadtest.Config{})
	cfg := kad.Config{Validators: map[string]record.Validator{"v": anyValue{}}}
	nodes := n.Add(count-1, cfg)
	if keeps {
		cfg.Dir = t.TempDir()
	}
	d := n.Add(1, cfg)[0]
	n.Settle()
	for i := range values {
		if err := nodes[i%len(nodes)].DHT.PutValue(t.Context(), fmt.Sprintf("/v/%d", i), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Minute)
	handed := func() (total uint64) {
		for _, other := range nodes {
			total += other.DHT.Stats().HandedOver
		}
		return total
	}
	for round := range 2 {
		before := handed()
		n.Restart(d)
		time.Sleep(time.Minute)
		held := 0
		for i := range values {
			if _, err := d.DHT.GetValue(t.Context(), fmt.Sprintf("/v/%d", i), lrouting.Offline); err == nil {
				held++
			}
		}
		if held != values {
			t.Errorf("round %d: it holds %d of %d values after a minute", round, held, values)
		}
		if sent := handed() - before; keeps && sent > 0 || !keeps && sent > values {
			t.Errorf("round %d: it was sent %d values", round, sent)
		}
		time.Sleep(returnPause)
	}
}

// returnPause is how often a peer that returns is asked for what it holds at most.
const returnPause = 10 * time.Minute
