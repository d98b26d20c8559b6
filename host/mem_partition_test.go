package host

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who is cut off by a partition, or killed, is not reached, and is known again
// after it has healed, if it was not killed; whether that is seen or silent.
func TestMemNetPartition(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newMemNet(t, 20*time.Millisecond)
			n.silent.Store(silent)
			a, b := n.node(Config{}), n.join(Config{})
			time.Sleep(settleAfter)
			if n.find(b.self) != b || !knows(a, b.host) {
				t.Fatal("the nodes do not know each other")
			}
			n.partition(func(*DHT, *DHT) bool { return false })
			time.Sleep(time.Hour)
			if err := a.host.Connect(t.Context(), info(b.host)); err == nil || knows(a, b.host) {
				t.Error("the other side of the partition is reached")
			}
			n.partition(nil)
			time.Sleep(time.Minute)
			if !knows(a, b.host) {
				t.Error("the other side is not known after the partition")
			}
			n.kill(b)
			time.Sleep(time.Hour)
			if n.find(b.self) != nil || knows(a, b.host) {
				t.Error("the killed node is known")
			}
			if got := n.closest([]byte("key"), 1, nil); len(got) != 1 || got[0] != a.self {
				t.Errorf("the network has %v, want %v", got, a.self)
			}
		})
	}
}
