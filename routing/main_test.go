package routing

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is when tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// contact returns the i-th of an endless supply of contacts.
func contact(i int) Contact {
	return ContactOf(peer.ID(fmt.Sprintf("peer %d", i)))
}

// at returns a contact whose key shares exactly cpl bits with self.
func at(self Key, cpl int, name string) Contact {
	key := KeyOf([]byte(name))
	for i := range cpl {
		setBit(&key, &self, i, 0)
	}
	setBit(&key, &self, cpl, 1)
	return Contact{ID: peer.ID(name), Key: key}
}

// setBit sets bit i of k so that bit i of its distance to other is d.
func setBit(k, other *Key, i int, d byte) {
	if k.bit(other, i) != d {
		*k = k.flip(i)
	}
}

// withCPL returns n contacts whose keys share exactly cpl bits with self.
func withCPL(self Key, cpl, n int) []Contact {
	var contacts []Contact
	for i := range n {
		contacts = append(contacts, at(self, cpl, fmt.Sprintf("cpl %d number %d", cpl, i)))
	}
	return contacts
}

// away returns the contact at that distance from target.
func away(target Key, distance uint64, name string) Contact {
	key := target
	low := key[len(key)-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^distance)
	return Contact{ID: peer.ID(name), Key: key}
}

// ids returns the IDs of contacts.
func ids(contacts []Contact) []string {
	var out []string
	for _, c := range contacts {
		out = append(out, string(c.ID))
	}
	return out
}

// sameContacts reports whether a and b are the same peers in the same order.
func sameContacts(a, b []Contact) bool {
	return slices.EqualFunc(a, b, func(a, b Contact) bool { return a.ID == b.ID })
}

// closestOf is what Closest must return, the slow way.
func closestOf(target Key, contacts []Contact, n int) []Contact {
	sorted := slices.Clone(contacts)
	SortByDistance(target, sorted)
	return sorted[:min(n, len(sorted))]
}

// keys draws keys; many share a prefix with each other.
func keys() *rapid.Generator[Key] {
	return rapid.Custom(func(t *rapid.T) Key {
		var k Key
		tail := rapid.SliceOfN(rapid.Byte(), 1, len(k)).Draw(t, "tail")
		copy(k[len(k)-len(tail):], tail)
		return k
	})
}

// seeded returns a source of randomness whose seed is printed if the test fails.
func seeded(tb testing.TB, seed uint64) *rand.Rand {
	tb.Helper()
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// long skips a test that takes long if the race detector is on: it would take ten times as
// long, and find nothing where there is one goroutine. make test runs it without.
func long(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("the race detector is on, and there is one goroutine")
	}
}
