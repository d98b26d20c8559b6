package kadtest_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// In a network whose nodes have joined, each finds the k nodes that are closest to a key.
func TestJoin(t *testing.T) { synctest.Test(t, testJoin) }

func testJoin(t *testing.T) {
	count := 100
	if s := os.Getenv("KAD_NODES"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.Add(count, kad.Config{})
	n.Settle()
	for i, d := range nodes {
		if i%10 > 0 {
			continue
		}
		key := fmt.Sprint("key ", i)
		found, err := d.DHT.ClosestPeers(t.Context(), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		want := n.Closest(key, 20, d)
		if len(found) != len(want) {
			t.Fatalf("node %d found %d peers, want %d", i, len(found), len(want))
		}
		for j := range want {
			if found[j].ID != want[j].ID() {
				t.Errorf("node %d: peer %d is %s, want %s", i, j, found[j].ID, want[j].ID())
			}
		}
	}
	_ = time.Second
}
