package store

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Rows are in the order of places, also where hashes are alike, and have the
// key and ID that went in. This is a test from inside: nobody has two keys with
// one hash.
func TestRowKeyOrder(t *testing.T) {
	few := rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff})
	key := rapid.SliceOfN(few, 0, 5)
	place := rapid.Custom(func(t *rapid.T) []byte {
		return append(append(make([]byte, 7), rapid.ByteRange(0, 1).Draw(t, "hash")), key.Draw(t, "key")...)
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, from := place.Draw(t, "a"), place.Draw(t, "b"), rapid.SliceOfN(few, 0, 12).Draw(t, "from")
		rowOf := func(place []byte) []byte {
			return append(append(rowStart(place), 0, 1), key.Draw(t, "id")...)
		}
		rowA, rowB := rowOf(a), rowOf(b)
		if order := bytes.Compare(a, b); order != 0 && bytes.Compare(rowA, rowB) != order {
			t.Errorf("rows of places %x, %x are %x, %x", a, b, rowA, rowB)
		}
		if bytes.Compare(a, from) < 0 != (bytes.Compare(rowA, rowStart(from)) < 0) {
			t.Errorf("place %x is row %x, start %x is row %x", a, rowA, from, rowStart(from))
		}
		prefix := rowA[:prefixLen(rowA)]
		if bytes.HasPrefix(rowB, prefix) != bytes.Equal(a, b) {
			t.Errorf("row %x of place %x, and prefix %x of place %x", rowB, b, prefix, a)
		}
		if got, id := splitRowKey(rowA); !bytes.Equal(got, a[hashBytes:]) || !bytes.Equal(id, rowA[len(prefix):]) {
			t.Errorf("splitRowKey(%x) = %x, %x", rowA, got, id)
		}
	})
}

func TestRowKeyDamaged(t *testing.T) {
	for _, row := range []string{"", "a", "12345678", "12345678key", "12345678key\x00", "12345678\x00\xff\x00\xff"} {
		if key, id := splitRowKey([]byte(row)); key != nil || id != nil {
			t.Errorf("splitRowKey(%q) = %q, %q; want nothing", row, key, id)
		}
	}
}

// An ordered is compared with a list that is sorted whenever it is looked at.
func TestOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOrdered(func(s string) string { return s[:2] })
		ref := make(map[string]string)
		key := rapid.StringOfN(rapid.RuneFrom([]rune("abcdefghijklmnopqrstuvwxyz")), 2, 2, -1)
		check := func(from []byte) {
			last, n, left := from, 0, 0
			for thing := range o.from(from) {
				place := Place([]byte(thing[:2]))
				if bytes.Compare(place, last) < 0 || ref[thing[:2]] != thing {
					t.Fatalf("%q comes after %x, want %q", thing, last, ref[thing[:2]])
				}
				last, n = append(place, 0), n+1
			}
			for key := range ref {
				if bytes.Compare(Place([]byte(key)), from) >= 0 {
					left++
				}
			}
			if n != left {
				t.Fatalf("%d come from %x on, want %d", n, from, left)
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "rounds") {
			for range rapid.IntRange(0, 600).Draw(t, "sets") {
				thing := key.Draw(t, "key") + rapid.StringN(0, 1, -1).Draw(t, "rest")
				o.set(hashOf([]byte(thing[:2])), thing)
				ref[thing[:2]] = thing
			}
			check(nil)
			for range rapid.IntRange(0, 1200).Draw(t, "deletes") {
				key := key.Draw(t, "key")
				o.delete(hashOf([]byte(key)), key)
				delete(ref, key)
			}
			check(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "from"))
			probe := key.Draw(t, "probe")
			if got := get(o, hashOf([]byte(probe)), probe); got != ref[probe] {
				t.Fatalf("get(%q) = %q, want %q", probe, got, ref[probe])
			}
		}
		for i, block := range o.blocks {
			if len(block) == 0 || len(block) >= maxBlock || i > 0 && len(block)+len(o.blocks[i-1]) <= maxBlock/2 {
				t.Fatalf("block %d of %d has %d slots", i, len(o.blocks), len(block))
			}
		}
	})
}

// All hashes of a set come once, the farthest first, and few are looked for.
func TestFarFirst(t *testing.T) {
	near := rapid.Custom(func(t *rapid.T) uint64 {
		return rapid.Uint64().Draw(t, "bits") >> rapid.IntRange(0, 63).Draw(t, "shift")
	})
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfNDistinct(rapid.OneOf(near, rapid.SampledFrom([]uint64{0, 1 << 63, 1<<64 - 1})), 0, 50, rapid.ID).Draw(t, "set")
		self := near.Draw(t, "self")
		looks, n, last := 0, 0, ^uint64(0)
		for hash := range farFirst(self, func(x uint64) (least uint64, ok bool) {
			looks++
			for _, h := range set {
				if h >= x && (!ok || h < least) {
					least, ok = h, true
				}
			}
			return least, ok
		}) {
			if far := hash ^ self; n > 0 && far >= last {
				t.Fatalf("%x comes at %x, after %x", hash, far, last)
			}
			if n == 0 && looks > 200 {
				t.Fatalf("%d looks for the first one", looks)
			}
			last = hash ^ self
			n++
		}
		if n != len(set) {
			t.Fatalf("%d of %d come", n, len(set))
		}
	})
}
