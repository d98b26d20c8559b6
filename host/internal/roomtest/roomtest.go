// Package roomtest has what the tests of several rooms share: peers with keys, addresses,
// a validator, and streams in memory. It imports no room above tasks, so that the tests of
// every other room can use it.
package roomtest

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/tasks"
)

// NewPeer returns a new Ed25519 key, and the ID of its peer.
func NewPeer(t testing.TB) (crypto.PrivKey, peer.ID) {
	t.Helper()
	return NewPeerWith(t, crypto.Ed25519, 0)
}

// NewPeerWith returns a new key of a kind, and the ID of its peer. bits counts for RSA only.
func NewPeerWith(t testing.TB, kind, bits int) (crypto.PrivKey, peer.ID) {
	t.Helper()
	private, public, err := crypto.GenerateKeyPairWithReader(kind, bits, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return private, id
}

// NewSigner returns a new peer, which has signed its addresses, as a peerstore then knows.
func NewSigner(t testing.TB, book peerstore.Peerstore, addrs ...string) peer.ID {
	t.Helper()
	key, id := NewPeer(t)
	envelope, err := record.Seal(&peer.PeerRecord{PeerID: id, Addrs: Addrs(addrs...), Seq: 1}, key)
	if err != nil {
		t.Fatal(err)
	}
	certified, _ := peerstore.GetCertifiedAddrBook(book)
	if _, err := certified.ConsumePeerRecord(envelope, peerstore.RecentlyConnectedAddrTTL); err != nil {
		t.Fatal(err)
	}
	return id
}

// Addrs parses addresses.
func Addrs(texts ...string) (addrs []multiaddr.Multiaddr) {
	for _, s := range texts {
		addrs = append(addrs, multiaddr.StringCast(s))
	}
	return addrs
}

// NewGroup returns a group of goroutines that ends with the test.
func NewGroup(t testing.TB) *tasks.Group {
	t.Helper()
	g := tasks.NewGroup()
	t.Cleanup(func() { g.Cancel(); g.Wait(new(sync.WaitGroup)) })
	return g
}

// Took returns how long f takes.
func Took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// Digits is a validator: a value begins with a digit, and the greater digit is the better
// value. Two values with the same digit are equally good.
type Digits struct{}

// ErrNoDigit is why [Digits] refuses a value.
var ErrNoDigit = errors.New("the value does not begin with a digit")

// Validate implements record.Validator.
func (Digits) Validate(_ string, value []byte) error {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return ErrNoDigit
	}
	return nil
}

// Select implements record.Validator.
func (Digits) Select(_ string, values [][]byte) (best int, _ error) {
	for i, v := range values {
		if v[0] > values[best][0] {
			best = i
		}
	}
	return best, nil
}

// SetClock returns a time of time.Now as time.Now returns it after the clock of the wall was
// set by so many seconds: the monotonic reading stays. Times of a synctest bubble have none:
// it gives them one. No exported function of package time makes such times, and the tests of
// package tasks fail if their layout has changed.
func SetClock(now time.Time, by time.Duration) time.Time {
	const (
		monotonic = 1 << 63    // the flag of a reading
		second    = 1 << 30    // the bits below are nanoseconds
		from1885  = 2682288000 // seconds until 1970
	)
	words := (*[2]uint64)(unsafe.Pointer(&now)) //nolint:gosec // the wall clock, and the reading
	if words[0]&monotonic == 0 {
		reading := 1 + now.Sub(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC))
		words[0] = monotonic | uint64(now.Unix()+from1885)*second | uint64(now.Nanosecond()) //nolint:gosec // after 1885
		words[1] = uint64(reading)                                                           //nolint:gosec // after 2000
	}
	words[0] += uint64(by/time.Second) * second //nolint:gosec // wraps for negative ones
	return now
}

// Long skips a test that takes long if the race detector is on: it would take ten times as
// long, and find nothing where there is one goroutine. .ci/run runs it without.
func Long(t *testing.T) {
	t.Helper()
	if RaceEnabled {
		t.Skip("the race detector is on, and there is one goroutine")
	}
}
