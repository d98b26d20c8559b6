package routing

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// distance returns the distance of two keys, computed another way.
func distance(a, b Key) *big.Int {
	x, y := new(big.Int).SetBytes(a[:]), new(big.Int).SetBytes(b[:])
	return x.Xor(x, y)
}

// CPL, order and the single bits of a distance use one bit order, here on keys
// that differ anywhere in their 32 bytes.
func TestKeyHasOneBitOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, a, b := keys().Draw(t, "k"), keys().Draw(t, "a"), keys().Draw(t, "b")
		if got, want := k.Compare(a, b), distance(k, a).Cmp(distance(k, b)); got != want {
			t.Errorf("Compare = %d, want %d", got, want)
		}
		if got, want := k.CPL(a), KeyBits-distance(k, a).BitLen(); got != want {
			t.Errorf("CPL = %d, want %d", got, want)
		}
		for i := range KeyBits {
			if got, want := uint(k.bit(&a, i)), distance(k, a).Bit(KeyBits-1-i); got != want {
				t.Errorf("bit %d = %d, want %d", i, got, want)
			}
		}
		if ca, cb := k.CPL(a), k.CPL(b); ca > cb && k.Compare(a, b) >= 0 {
			t.Errorf("CPL %d is not closer than CPL %d", ca, cb)
		}
	})
}

func TestKeyOf(t *testing.T) {
	const want = "ba7816bf" // SHA-256 of abc, FIPS 180-2
	if got := KeyOf([]byte("abc")); got.String() != want {
		t.Errorf("KeyOf = %s, want %s", got, want)
	}
	if c := ContactOf(peer.ID("abc")); c.Key.String() != want {
		t.Errorf("ContactOf has key %s, want %s", c.Key, want)
	}
}

func TestKeyCompareDoesNotAllocate(t *testing.T) {
	a, b, c := KeyOf([]byte("a")), KeyOf([]byte("b")), KeyOf([]byte("c"))
	if n := testing.AllocsPerRun(100, func() { a.Compare(b, c); a.CPL(b) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Budget: 10 ns, no allocation.
func BenchmarkKeyCompare(b *testing.B) {
	x, y, z := KeyOf([]byte("x")), KeyOf([]byte("y")), KeyOf([]byte("z"))
	b.ReportAllocs()
	for b.Loop() {
		x.Compare(y, z)
	}
}

// The middle of two distances is the mean of the numbers, rounded up.
func TestMiddle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys().Draw(t, "a"), keys().Draw(t, "b")
		if rapid.Bool().Draw(t, "great") {
			a[0], b[0] = 0xff, 0xff
		}
		sum := new(big.Int).Add(new(big.Int).SetBytes(a[:]), new(big.Int).SetBytes(b[:]))
		want := sum.Add(sum, big.NewInt(1)).Rsh(sum, 1)
		if got := a.middle(b); new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
			t.Errorf("the middle of %x and %x is %x, want %x", a[:], b[:], got[:], want)
		}
	})
}
