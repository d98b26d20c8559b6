package kadtest_test //nolint:testableexamples // a bubble needs a test, and no Example has one: TestLibraries runs it

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// lending is the protocol of the application: a reader opens a stream to a library, and
// gets a book.
const lending = "/library/1"

// lend makes a node a library that has one book.
func lend(ctx context.Context, d *kad.DHT, title, text string) error {
	d.Host().SetStreamHandler(lending, func(s network.Stream) {
		_, _ = io.WriteString(s, text)
		_ = s.Close()
	})
	_, err := d.Advertise(ctx, title)
	return err
}

// read returns a book, from the first library that gives it.
func read(ctx context.Context, d *kad.DHT, title string) (string, error) {
	for library, err := range d.Discover(ctx, title, 0) {
		if err != nil {
			return "", err
		}
		if err := d.Host().Connect(ctx, library); err != nil {
			continue // it is gone: another may have the book
		}
		s, err := d.Host().NewStream(ctx, library.ID, lending)
		if err != nil {
			continue
		}
		_ = s.SetDeadline(time.Now().Add(10 * time.Second))
		text, err := io.ReadAll(s)
		_ = s.Close()
		if err == nil {
			return string(text), nil
		}
	}
	return "", errors.New("no library has " + title)
}

// libraries tests the application in a network of 50 nodes. It takes ten minutes of
// virtual time.
func libraries(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: 50 * time.Millisecond, Loss: 0.01})
	// Refreshing tables is most of what an idle network does.
	cfg := kad.Config{Network: "/library", RefreshInterval: time.Hour}
	nodes := n.Add(50, cfg)
	n.Settle()

	for _, library := range nodes[:3] {
		if err := lend(t.Context(), library.DHT, "Moby-Dick", "Call me Ishmael."); err != nil {
			t.Fatal(err)
		}
	}
	n.Kill(nodes[0])    // its advertisement is still there
	n.Silence(nodes[1]) // this one takes streams, and answers none

	// Five nodes are replaced. The last library is not one of them.
	n.Churn(10*time.Minute, 5, cfg, nodes[1], nodes[2])
	reader := n.Pick(1, nodes[1], nodes[2])[0]
	text, err := read(t.Context(), reader.DHT, "Moby-Dick")
	if err != nil || text != "Call me Ishmael." {
		t.Errorf("read %q, %v", text, err)
	}
}

// An application of 50 nodes is tested in virtual time. In a test of yours, t is what the
// test is given:
//
//	func TestLibraries(t *testing.T) { synctest.Test(t, libraries) }
func Example() {
	var t *testing.T
	synctest.Test(t, libraries)
}
