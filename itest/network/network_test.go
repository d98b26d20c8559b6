// Package network_test tests networks of many nodes, in virtual time: how quick lookups
// are and how right, and what becomes of records, contacts and networks in outages,
// partitions, restarts and churn. It takes minutes, so it does not run with the race
// detector, which watches the same code in smaller networks.
package network_test

import (
	"bufio"
	"errors"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/itest/internal/race"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // there is little in memory and much garbage
	goleak.VerifyTestMain(m)
}

// bubble runs a test in virtual time, except with the race detector.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if race.Enabled {
		t.Skip("it takes minutes with the race detector, which watches the same code in smaller networks")
	}
	synctest.Test(t, test)
}

const (
	// link is the latency of the networks in which records live for long, and wide that
	// of the networks in which time is measured.
	link = 20 * time.Millisecond
	wide = 50 * time.Millisecond

	defaultK = 20
)

// digits is a validator: a value begins with a digit, and the greater digit is the
// better value.
type digits struct{}

func (digits) Validate(_ string, value []byte) error {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return errors.New("the value does not begin with a digit")
	}
	return nil
}

func (digits) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if v[0] > values[best][0] {
			best = i
		}
	}
	return best, nil
}

// with returns a Config for values under "/v/".
func with(cfg kad.Config) kad.Config {
	cfg.Network = "/test"
	cfg.Validators = map[string]record.Validator{"v": digits{}}
	return cfg
}

// joined adds nodes, and returns them when the network has come to rest.
func joined(n *kadtest.Network, count int, cfg kad.Config) []*kadtest.Node {
	nodes := n.Add(count, with(cfg))
	n.Settle()
	return nodes
}

// took returns how long f takes.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// recordKey returns the key of a value, and contentOf a content that is announced.
func recordKey(i int) string { return "/v/" + strconv.Itoa(i) }

func contentOf(t *testing.T, name string) cid.Cid {
	t.Helper()
	hash, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// providerKey returns the key under which a content is announced.
func providerKey(c cid.Cid) string { return string(c.Hash()) }

// ids returns the IDs of nodes.
func ids(nodes []*kadtest.Node) []peer.ID {
	out := make([]peer.ID, len(nodes))
	for i, d := range nodes {
		out[i] = d.ID()
	}
	return out
}

// knows reports whether a node has a contact that has answered when it was last asked.
func knows(d *kadtest.Node, id peer.ID) bool {
	for _, b := range d.DHT.Table() {
		if slices.ContainsFunc(b.Contacts, func(c kad.Contact) bool { return c.ID == id && !c.Suspect }) {
			return true
		}
	}
	return false
}

// small reports whether a node has less than k contacts that answer.
func small(d *kadtest.Node, k int) bool {
	s := d.DHT.Stats()
	return s.Contacts-s.Suspects < k
}

// closestTo looks a key up, and checks that what is found is what there is.
func closestTo(t *testing.T, n *kadtest.Network, d *kadtest.Node, key string) {
	t.Helper()
	found, err := d.DHT.ClosestPeers(t.Context(), []byte(key))
	if err != nil {
		t.Error(err)
	}
	want := ids(n.Closest(key, defaultK, d))
	for _, p := range found {
		want = slices.DeleteFunc(want, func(id peer.ID) bool { return id == p.ID })
	}
	if len(found) != defaultK || len(want) > 0 {
		t.Errorf("%d peers, without %d of the closest", len(found), len(want))
	}
}

// A prober is a peer without a DHT, which asks nodes what they hold.
type prober struct{ *kadtest.Node }

func newProber(n *kadtest.Network) prober { return prober{n.AddHosts(1)[0]} }

// ask returns the answer of a node to one request.
func (p prober) ask(t *testing.T, to *kadtest.Node, req protocol.Request) protocol.Response {
	t.Helper()
	if err := p.Host.Connect(t.Context(), to.Info()); err != nil {
		t.Fatal(err)
	}
	s, err := p.Host.NewStream(t.Context(), to.ID(), "/test/kad/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if _, err := s.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
		t.Fatal(err)
	}
	msg, err := protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := protocol.ParseResponse(req, msg)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// value returns what a node holds under a key; nil if it holds nothing.
func (p prober) value(t *testing.T, of *kadtest.Node, key string) *protocol.Record {
	t.Helper()
	return p.ask(t, of, protocol.GetValue{Key: []byte(key)}).Record
}

// announced reports whether a node holds an announcement of a content.
func (p prober) announced(t *testing.T, at *kadtest.Node, c cid.Cid) bool {
	t.Helper()
	return len(p.ask(t, at, protocol.GetProviders{Key: []byte(providerKey(c))}).Providers) > 0
}

// holders returns how many of the nodes hold value i, and the announcement of content i.
func (p prober) holders(t *testing.T, n *kadtest.Network, i int) (values, announcements int) {
	t.Helper()
	for _, d := range n.Nodes() {
		if d.DHT == nil {
			continue
		}
		if p.value(t, d, recordKey(i)) != nil {
			values++
		}
		if p.announced(t, d, contentOf(t, recordKey(i))) {
			announcements++
		}
	}
	return values, announcements
}

// publish puts values under recordKey(0), recordKey(1), …, and announces as many
// contents.
func publish(t *testing.T, d *kadtest.Node, values int) {
	t.Helper()
	for i := range values {
		if _, err := d.DHT.Put(t.Context(), recordKey(i), []byte("1")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.DHT.Announce(t.Context(), contentOf(t, recordKey(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// A tally counts the records and announcements that are sent, by key and receiver.
type tally struct {
	mu   sync.Mutex
	sent map[string]map[peer.ID]int
	all  int
}

// count is a kadtest.Config.Filter that keeps all.
func (s *tally) count(_, to *kadtest.Node, req protocol.Request) bool {
	var key []byte
	switch req := req.(type) {
	case protocol.PutValue:
		key = req.Record.Key
	case protocol.AddProvider:
		key = req.Key
	default:
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == nil {
		s.sent = make(map[string]map[peer.ID]int)
	}
	if s.sent[string(key)] == nil {
		s.sent[string(key)] = make(map[peer.ID]int)
	}
	s.sent[string(key)][to.ID()]++
	s.all++
	return true
}

// reset forgets what was counted.
func (s *tally) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.all = nil, 0
}

// times returns how often something was sent under a key to a node.
func (s *tally) times(key string, to peer.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[key][to]
}

func (s *tally) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
