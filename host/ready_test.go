package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// testCID returns the CID of s.
func testCID(s string) cid.Cid {
	hash, err := multihash.Sum([]byte(s), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// errNothing says that an operation ended without a result and without an error.
var errNothing = errors.New("an empty success")

// operations are what a user asks of a node, as functions that return the error
// that a user sees; errNothing if there is none, and no result.
var operations = []struct {
	name string
	run  func(ctx context.Context, d *DHT) error
}{
	{"PutValue", func(ctx context.Context, d *DHT) error { return d.PutValue(ctx, "/v/key", []byte("1")) }},
	{"GetValue", func(ctx context.Context, d *DHT) error {
		_, err := d.GetValue(ctx, "/v/key")
		return err
	}},
	{"SearchValue", func(ctx context.Context, d *DHT) error {
		values, err := d.SearchValue(ctx, "/v/key")
		if err != nil {
			return err
		}
		err = errNothing
		for range values {
			err = nil
		}
		return err
	}},
	{"Provide", func(ctx context.Context, d *DHT) error { return d.Provide(ctx, testCID("content"), true) }},
	{"Providers", func(ctx context.Context, d *DHT) error {
		err := errNothing
		for _, e := range d.Providers(ctx, testCID("content"), 0) {
			err = e
		}
		return err
	}},
	{"FindPeer", func(ctx context.Context, d *DHT) error {
		_, err := d.FindPeer(ctx, peer.ID("\x12\x20"+strings.Repeat("x", 32)))
		return err
	}},
	{"ClosestPeers", func(ctx context.Context, d *DHT) error {
		_, err := d.ClosestPeers(ctx, []byte("key"))
		return err
	}},
	{"Advertise", func(ctx context.Context, d *DHT) error {
		_, err := d.Advertise(ctx, "namespace")
		return err
	}},
	{"FindPeers", func(ctx context.Context, d *DHT) error {
		peers, err := d.FindPeers(ctx, "namespace")
		if err != nil {
			return err
		}
		err = errNothing
		for range peers {
			err = nil
		}
		return err
	}},
	{"Discover", func(ctx context.Context, d *DHT) error {
		err := errNothing
		for _, e := range d.Discover(ctx, "namespace", 0) {
			err = e
		}
		return err
	}},
	{"Ready", func(ctx context.Context, d *DHT) error { return d.Ready(ctx) }},
}

// While the table is empty, every operation waits as long as its context lets
// it, and 10s at most; then it says why it is empty. Ready alone waits longer, if
// its context has a deadline that says so.
func TestNotReady(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newTestNet(t).node(Config{})
				for _, patience := range []time.Duration{3 * time.Second, 0, time.Minute, -time.Second} {
					ctx, want := t.Context(), patience
					if patience != 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, patience)
						defer cancel()
					}
					if patience == 0 || patience > readyTimeout && op.name != "Ready" {
						want = readyTimeout
					}
					want = max(want, 0) // the context has ended already
					var err error
					spent := roomtest.Took(func() { err = op.run(ctx, d) })
					var notReady *NotReadyError
					if !errors.As(err, &notReady) || !errors.Is(err, ErrNoContacts) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error %v, want a NotReadyError", err)
					}
					if spent != want {
						t.Errorf("took %v, want %v", spent, want)
					}
				}
			})
		})
	}
}

// Bootstrap does not wait for contacts when no bootstrap peer is known: it says at once
// why there are none.
func TestBootstrapNotReady(t *testing.T) { synctest.Test(t, testBootstrapNotReady) }

func testBootstrapNotReady(t *testing.T) {
	d := newTestNet(t).node(Config{})
	var notReady *NotReadyError
	if err := d.Bootstrap(t.Context()); !errors.As(err, &notReady) {
		t.Errorf("error %v, want a NotReadyError", err)
	}
}

// An operation that was started before the first contact came succeeds when it
// comes.
func TestOperationWaitsForContact(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				d := n.node(Config{})
				peers := n.nodes(3, Config{})
				if err := peers[1].PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
					t.Fatal(err)
				}
				for _, c := range []cid.Cid{testCID("content"), testCID("namespace")} {
					if err := peers[1].Provide(t.Context(), c, true); err != nil {
						t.Fatal(err)
					}
				}
				time.AfterFunc(2*time.Second, func() { link(t, d, peers[0]) })
				var err error
				spent := roomtest.Took(func() { err = op.run(t.Context(), d) })
				if op.name == "FindPeer" {
					if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoContacts) {
						t.Errorf("error %v, want ErrNotFound: there is no such peer", err)
					}
				} else if err != nil {
					t.Error(err)
				}
				if spent < 2*time.Second || spent > 3*time.Second {
					t.Errorf("took %v, want a moment after the contact came", spent)
				}
			})
		})
	}
}

// notReadyText returns what a node says after a minute of an empty table.
func notReadyText(t *testing.T, d *DHT) (*NotReadyError, string) {
	t.Helper()
	time.Sleep(time.Minute)
	err := d.Ready(t.Context())
	var notReady *NotReadyError
	if !errors.As(err, &notReady) {
		t.Fatalf("Ready() = %v, want a NotReadyError", err)
	}
	t.Log(err)
	return notReady, err.Error()
}

// mentions checks that a text has all of some parts.
func mentions(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not mention %q", text, part)
		}
	}
}

// Without bootstrap peers, the error says that there are none, and what to do.
func TestNotReadyWithoutBootstrap(t *testing.T) { synctest.Test(t, testNotReadyWithoutBootstrap) }

func testNotReadyWithoutBootstrap(t *testing.T) {
	_, text := notReadyText(t, newTestNet(t).node(Config{}))
	mentions(t, text, "kad: routing table is empty", "no bootstrap peers configured", "Config.Bootstrap")
}

// If every dial failed, the error names each peer and its reason.
func TestNotReadyDialsFailed(t *testing.T) { synctest.Test(t, testNotReadyDialsFailed) }

func testNotReadyDialsFailed(t *testing.T) {
	n := newTestNet(t)
	a, b := n.host(), n.host()
	d := n.node(Config{Bootstrap: []peer.AddrInfo{info(a), info(b)}})
	n.cut(a)
	n.cut(b)
	notReady, text := notReadyText(t, d)
	mentions(t, text, "all bootstrap peers failed", a.ID().String(), b.ID().String())
	if len(notReady.Dials) != 2 || notReady.Dials[a.ID()] == nil || notReady.Dials[b.ID()] == nil {
		t.Errorf("Dials = %v, want both peers", notReady.Dials)
	}
}

// A bootstrap peer that is silent is named with that.
func TestNotReadySilentBootstrap(t *testing.T) { synctest.Test(t, testNotReadySilentBootstrap) }

func testNotReadySilentBootstrap(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(silent)
	notReady, text := notReadyText(t, n.node(Config{Bootstrap: []peer.AddrInfo{info(p)}}))
	mentions(t, text, p.ID().String(), "deadline exceeded")
	if !errors.Is(notReady.Dials[p.ID()], context.DeadlineExceeded) {
		t.Errorf("Dials = %v, want that it did not answer in time", notReady.Dials)
	}
}

// If connected peers speak other protocols, the error says which one is wanted
// and what they speak.
func TestNotReadyWrongProtocol(t *testing.T) { synctest.Test(t, testNotReadyWrongProtocol) }

func testNotReadyWrongProtocol(t *testing.T) {
	n := newTestNet(t)
	other := n.node(Config{Network: "/other"})
	boot := n.node(Config{Network: "/third"})
	d := n.node(Config{Bootstrap: []peer.AddrInfo{info(boot.host)}})
	link(t, d, other)
	notReady, text := notReadyText(t, d)
	mentions(t, text,
		"none speaks /test/kad/1.0.0",
		"is of another network: it speaks /other/kad/1.0.0", other.ID().String(),
		"all bootstrap peers failed", "it does not speak /test/kad/1.0.0; it is of another network: it speaks /third/kad/1.0.0")
	if strings.Contains(text, "/ipfs/ping") {
		t.Errorf("%s; want the protocols of Kademlia alone", text)
	}
	if len(notReady.Others[other.ID()]) == 0 {
		t.Errorf("Others = %v, want the peer and its protocols", notReady.Others)
	}
}

// A limitedHost sees its connections as ones through a relay, which are limited.
type limitedHost struct{ *wireHost }

func (h limitedHost) Network() network.Network { return limitedNetwork{h.wireHost.Network()} }

type limitedNetwork struct{ network.Network }

func (n limitedNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	var conns []network.Conn
	for _, c := range n.Network.ConnsToPeer(id) {
		conns = append(conns, limitedConn{c})
	}
	return conns
}

type limitedConn struct{ network.Conn }

func (c limitedConn) Stat() network.ConnStats {
	s := c.Conn.Stat()
	s.Limited = true
	return s
}

// If peers were kept out of the table, the error says by what.
func TestNotReadyFiltered(t *testing.T) { synctest.Test(t, testNotReadyFiltered) }

func testNotReadyFiltered(t *testing.T) {
	n := newWiredNet(t)
	p := n.puppet(says(protocol.Response{}))
	h := limitedHost{n.host().(*wireHost)}
	d := n.attach(h, Config{})
	dialHost(t, h, p)
	notReady, text := notReadyText(t, d)
	mentions(t, text, "filtered", p.ID().String(), "relay")
	if notReady.Filtered[p.ID()] == "" {
		t.Errorf("Filtered = %v, want the peer", notReady.Filtered)
	}
}

// What Config.MaxPerGroup keeps out is noted, too.
func TestFilteredByGroup(t *testing.T) { synctest.Test(t, testFilteredByGroup) }

func testFilteredByGroup(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{MaxPerGroup: 1})
	var kept peer.ID
	for i := range 2 {
		h := n.hostAt(func(k routing.Key) bool { return routing.KeyOf([]byte(d.ID())).CPL(k) == 0 })
		addr := multiaddr.StringCast("/ip4/8.8.8.8/tcp/" + string(rune('1'+i)))
		d.host.Peerstore().AddAddr(h.ID(), addr, time.Hour)
		d.table.Heard(routing.ContactOf(h.ID()), table.Answered, 0)
		kept = h.ID()
	}
	report := d.table.NotReady(nil)
	mentions(t, report.Error(), "filtered", kept.String(), "Config.MaxPerGroup", "8.8.8.0")
}

// The text names four peers, and how many more there are.
func TestErrorTextIsBounded(t *testing.T) {
	dials := make(map[peer.ID]error)
	for i := range 60 {
		dials[peer.ID(rune('A'+i))] = errNothing
	}
	text := (&NotReadyError{Bootstrap: 60, Dials: dials}).Error()
	mentions(t, text, "and 56 more")
	if len(text) > 500 {
		t.Errorf("%d bytes, want a line of a log", len(text))
	}
}
