package host

import (
	"testing"
	"testing/synctest"
)

// A host serves one DHT per network: a second one is refused, and is welcome
// when the first is closed.
func TestOneDHTPerNetwork(t *testing.T) { synctest.Test(t, testOneDHTPerNetwork) }

func testOneDHTPerNetwork(t *testing.T) {
	n := newTestNet(t)
	first := n.node(Config{})
	if d, err := New(first.host, testConfig(Config{})); err == nil {
		_ = d.Close()
		t.Error("a second DHT of the network is attached")
	}
	other, err := New(first.host, testConfig(Config{Network: "/other"}))
	if err != nil {
		t.Errorf("a DHT of another network: %v", err)
	} else {
		_ = other.Close()
	}
	_ = first.Close()
	again, err := New(first.host, testConfig(Config{}))
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	_ = again.Close()
}
