package kadtest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// connected reports whether a node has a connection to another.
func connected(a, b *kadtest.Node) bool {
	return a.Host.Network().Connectedness(b.ID()) == network.Connected
}

// A killed node is seen to go, and refuses dials. It comes back with its ID.
func TestKill(t *testing.T) { synctest.Test(t, testKill) }

func testKill(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.Add(10, kad.Config{Validators: validators})
	n.Settle()
	d, id, was := nodes[3], nodes[3].ID(), nodes[3].Host
	n.Kill(d)
	if n.Find(id) != nil || len(n.Nodes()) != 9 || connected(nodes[0], d) {
		t.Error("the killed node is there")
	}
	var err error
	if spent := took(func() { err = nodes[0].Host.Connect(t.Context(), d.Info()) }); err == nil || spent > time.Second {
		t.Errorf("a dial ended after %v: %v", spent, err)
	}
	if err := was.Connect(t.Context(), nodes[0].Info()); err == nil {
		t.Error("the killed node dials")
	}
	n.Restart(d)
	n.Settle()
	if d.ID() != id || n.Find(id) != d || !found(t, n, d) || !found(t, n, nodes[0]) {
		t.Error("the node is not back")
	}
}

// A node that was unplugged is not seen to go at first. Dials to it hang.
func TestUnplug(t *testing.T) { synctest.Test(t, testUnplug) }

func testUnplug(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.AddHosts(2)
	dial(t, nodes[0], nodes[1])
	n.Unplug(nodes[1])
	time.Sleep(29 * time.Second)
	if !connected(nodes[0], nodes[1]) || !connected(nodes[1], nodes[0]) {
		t.Error("the connection has ended at once")
	}
	time.Sleep(2 * time.Second)
	if connected(nodes[0], nodes[1]) || connected(nodes[1], nodes[0]) {
		t.Error("the connection is there after the keep-alive time")
	}
	for _, from := range []int{0, 1} {
		to := nodes[1-from]
		if spent := took(func() {
			if nodes[from].Host.Connect(t.Context(), to.Info()) == nil {
				t.Error("a dial succeeds")
			}
		}); spent != 5*time.Second {
			t.Errorf("a dial ended after %v, want 5s", spent)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := nodes[0].Host.Connect(ctx, nodes[1].Info()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a dial with a deadline: %v", err)
	}
	n.Kill(nodes[1])
	if spent := took(func() { _ = nodes[0].Host.Connect(t.Context(), nodes[1].Info()) }); spent != 5*time.Second {
		t.Errorf("a dial of what was killed unplugged ended after %v, want 5s", spent)
	}
	n.Restart(nodes[1])
	n.Heal()
	dial(t, nodes[0], nodes[1])
}

// A node that is killed while it is unplugged, and restarted, has a new connection at
// once. The old one ends with that.
func TestRestartUnplugged(t *testing.T) { synctest.Test(t, testRestartUnplugged) }

func testRestartUnplugged(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{KeepAlive: -1})
	nodes := n.AddHosts(2)
	dial(t, nodes[0], nodes[1])
	stale := nodes[0].Host.Network().ConnsToPeer(nodes[1].ID())[0]
	n.Unplug(nodes[1])
	n.Kill(nodes[1])
	time.Sleep(time.Hour)
	if stale.IsClosed() {
		t.Error("the connection has ended, without keep-alive")
	}
	n.Restart(nodes[1])
	n.Heal()
	dial(t, nodes[1], nodes[0])
	if !stale.IsClosed() || !connected(nodes[0], nodes[1]) {
		t.Error("the old connection is there, or there is no new one")
	}
}

// What is sent during a short cut arrives after it, in order: bytes, ends, and streams.
func TestShortCut(t *testing.T) { synctest.Test(t, testShortCut) }

func testShortCut(t *testing.T) {
	n, here, there := open(t)
	a, b := n.Nodes()[0], n.Nodes()[1]
	served := make(chan struct{})
	b.Host.SetStreamHandler("/late", func(s network.Stream) {
		_ = s.Close()
		close(served)
	})
	n.Partition([]*kadtest.Node{a})
	_, _ = here.Write([]byte("how "))
	_, _ = here.Write([]byte("are you"))
	_ = here.CloseWrite()
	late, err := a.Host.NewStream(t.Context(), b.ID(), "/late")
	if err != nil {
		t.Fatal(err)
	}
	_ = there.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := there.Read(make([]byte, 1)); got > 0 || err == nil {
		t.Error("something passes the cut")
	}
	_ = there.SetReadDeadline(time.Time{})
	time.AfterFunc(10*time.Second, func() { n.Heal() })
	var got []byte
	spent := took(func() { got, err = io.ReadAll(there) })
	if string(got) != "how are you" || err != nil || spent < 10*time.Second+latency/2 || spent > 10*time.Second+2*latency {
		t.Errorf("read %q after %v, %v", got, spent, err)
	}
	select {
	case <-served:
	case <-time.After(time.Second):
		t.Error("the stream did not arrive")
	}
	_ = late.Close()
}

// A stream whose connection has ended fails, at both ends.
func TestConnectionLost(t *testing.T) { synctest.Test(t, testConnectionLost) }

func testConnectionLost(t *testing.T) {
	n, here, there := open(t)
	n.Unplug(n.Nodes()[0])
	spent := took(func() {
		_, err := here.Read(make([]byte, 1))
		_, otherErr := there.Read(make([]byte, 1))
		if err == nil || otherErr == nil || !strings.Contains(err.Error(), "no recent network activity") {
			t.Errorf("the ends have %v and %v", err, otherErr)
		}
	})
	if spent != 30*time.Second {
		t.Errorf("the connection ended after %v", spent)
	}
	if _, err := here.Conn().NewStream(t.Context()); err == nil {
		t.Error("a stream is opened on it")
	}
}

// A silent node takes a stream, and answers nothing until it is healed.
func TestSilence(t *testing.T) { synctest.Test(t, testSilence) }

func testSilence(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.AddHosts(2)
	nodes[1].Host.SetStreamHandler("/x", func(s network.Stream) { _ = s.Close() })
	n.Silence(nodes[1])
	ask := func() error {
		s, err := nodes[0].Host.NewStream(t.Context(), nodes[1].ID(), "/x")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		_ = s.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = io.ReadAll(s)
		return err
	}
	dial(t, nodes[0], nodes[1])
	if err := ask(); err == nil {
		t.Error("it answers")
	}
	n.Heal(nodes[1])
	if err := ask(); err != nil {
		t.Errorf("it does not answer: %v", err)
	}
}

// Two sides of a partition are two networks, until it heals.
func TestPartition(t *testing.T) { synctest.Test(t, testPartition) }

func testPartition(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.Add(10, kad.Config{Validators: validators})
	n.Settle()
	n.Partition(nodes[:5])
	time.Sleep(10 * time.Minute)
	put := func(d *kadtest.Node, value string) {
		if err := d.DHT.PutValue(t.Context(), "/v/"+value, []byte(value)); err != nil {
			t.Error(err)
		}
	}
	get := func(d *kadtest.Node, value string) bool {
		_, err := d.DHT.GetValue(t.Context(), "/v/"+value)
		return err == nil
	}
	put(nodes[0], "left")
	put(nodes[5], "right")
	if !get(nodes[4], "left") || get(nodes[9], "left") || get(nodes[4], "right") || !get(nodes[9], "right") {
		t.Error("values are found on the wrong side")
	}
	n.Heal()
	time.Sleep(30 * time.Minute)
	if !get(nodes[9], "left") || !get(nodes[4], "right") {
		t.Error("the partition has not healed")
	}
}

// Churn replaces as many nodes as it is told, and none that is spared.
func TestChurn(t *testing.T) { synctest.Test(t, testChurn) }

func testChurn(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.Add(10, kad.Config{})
	n.Settle()
	if spent := took(func() { n.Churn(10*time.Minute, 15, kad.Config{}, nodes[0]) }); spent != 10*time.Minute {
		t.Errorf("it took %v", spent)
	}
	if n.Find(nodes[0].ID()) == nil || len(n.Nodes()) != 10 {
		t.Errorf("%d nodes are left", len(n.Nodes()))
	}
	if !found(t, n, nodes[0]) {
		t.Error("the network has come apart")
	}
}
