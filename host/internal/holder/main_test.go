package holder

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testProtocol = lprotocol.ID("/test/kad/1.0.0")

// newHolder returns a Holder with an empty table, on a host without connections.
func newHolder(t testing.TB, cfg Config) *Holder {
	t.Helper()
	net := mocknet.New()
	t.Cleanup(func() { _ = net.Close() })
	h, err := net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host, cfg.Protocol, cfg.K = h, testProtocol, 20
	cfg.Table = table.New(table.Config{Host: h, Protocol: testProtocol, Tasks: tasks.NewGroup(), K: cfg.K, Wake: func() {}})
	if cfg.Store == nil {
		cfg.Store = store.NewMemory(store.Limits{})
	}
	if cfg.Rules == nil {
		cfg.Rules = validate.Rules{"v": roomtest.Digits{}, "s": authors{}}
	}
	if cfg.RecordAge == 0 {
		cfg.RecordAge = 48 * time.Hour
	}
	if cfg.MaxBytesPerPeer == 0 {
		cfg.MaxBytesPerPeer = 1 << 26
	}
	cfg.Caching = true
	return New(cfg)
}

// receive has a Holder handle the bytes of a write of a peer on its local network.
func receive(t *testing.T, h *Holder, from peer.ID, req protocol.Request) error {
	t.Helper()
	return receiveAt(t, h, From{ID: from, At: scope.Private}, req)
}

func receiveAt(t *testing.T, h *Holder, from From, req protocol.Request) error {
	t.Helper()
	parsed, err := protocol.ParseRequest(protocol.MarshalRequest(req))
	if err != nil {
		t.Fatal(err)
	}
	switch req := parsed.(type) {
	case protocol.PutValue:
		return h.Store(t.Context(), time.Now(), from.ID, RecordsIn(req)...)
	case protocol.AddProvider:
		return h.Announced(t.Context(), from, req, time.Now())
	default:
		t.Fatalf("%T is no write", req)
		return nil
	}
}

// put returns the request that stores values under a key.
func put(key string, values ...string) protocol.PutValue {
	var records []protocol.Record
	for _, v := range values {
		records = append(records, protocol.Record{Key: []byte(key), Value: []byte(v)})
	}
	return PutOf(records)
}

// held returns the values that are held under a key, sorted, with a space between them.
func held(t *testing.T, h *Holder, key string) string {
	t.Helper()
	values, err := h.Held(t.Context(), []byte(key), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, v := range values {
		texts = append(texts, string(v.Data))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// providers returns the providers that an answer to a peer at s has.
func providers(t *testing.T, h *Holder, s scope.Scope, key []byte) (providers []protocol.Peer) {
	t.Helper()
	encoded, err := h.Providers(t.Context(), nil, From{ID: "requester", At: s}, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range encoded {
		p, err := protocol.ParsePeer(e.Wire)
		if err != nil {
			t.Fatal(err)
		}
		providers = append(providers, p)
	}
	return providers
}

// addrOf returns the i-th of many addresses of a local network.
func addrOf(i int) []multiaddr.Multiaddr {
	return roomtest.Addrs(fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1))
}

const (
	publicAddr  = "/ip4/60.1.0.1/udp/4001/quic-v1"
	privateAddr = "/ip4/192.168.1.2/tcp/4001"
)

// strict is roomtest.Digits that refuses a 9 while on is true.
type strict struct {
	roomtest.Digits
	on *bool
}

func (s strict) Validate(key string, value []byte) error {
	if *s.on && len(value) > 0 && value[0] == '9' {
		return roomtest.ErrNoDigit
	}
	return s.Digits.Validate(key, value)
}

// authors is a Reducer: a value is a letter, its author, and a version. The newest
// value of each author is held.
type authors struct{}

func (authors) Validate(_ string, value []byte) error {
	if len(value) < 2 || value[0] < 'a' || value[0] > 'z' {
		return errors.New("a value is a letter and a version")
	}
	return nil
}

func (authors) Select(string, [][]byte) (int, error) { return 0, nil }

func (authors) Reduce(_ string, values [][]byte) (out [][]byte, _ error) {
	newest := make(map[byte][]byte)
	for _, v := range values {
		if old := newest[v[0]]; old == nil || bytes.Compare(v[1:], old[1:]) > 0 {
			newest[v[0]] = v
		}
	}
	for _, v := range newest {
		out = append(out, v)
	}
	return out, nil
}

func (authors) Limits() (values, size int) { return 3, 100 }

// recordKey returns the i-th of many keys.
func recordKey(i int) string { return fmt.Sprintf("/v/%d", i) }
