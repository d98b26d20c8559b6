package validator

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func TestSignedSetValidate(t *testing.T) {
	ann, bob := ed25519Key(1), ed25519Key(2)
	only := func(id peer.ID) bool { return id == idOf(ann) }
	for _, test := range []struct {
		name  string
		allow func(peer.ID) bool
		value []byte
		want  string
	}{
		{"anybody", nil, sign(bob, aKey, 1, "x"), ""},
		{"who is allowed", only, sign(ann, aKey, 1, "x"), ""},
		{"who is not", only, sign(bob, aKey, 1, "x"), "is signed by " + idOf(bob).String() + ", who may not write here"},
		{"from another key", nil, sign(ann, aKey+"/x", 1, "x"), "was signed for the key"},
		{"not signed", only, []byte("x"), "not a signed envelope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, SignedSet{Allow: test.allow}.Validate(aKey, test.value), test.want)
		})
	}
	wantError(t, SignedSet{}.Validate("/wall/", sign(ann, aKey, 1, "x")), `is not "/namespace/rest"`)
}

// Who is not the owner is not asked about.
func TestSignedSetAsksForTheSigner(t *testing.T) {
	forged := bytes.Clone(sign(ed25519Key(1), aKey, 1, "x"))
	forged[len(forged)-1] ^= 1
	set := SignedSet{Allow: func(id peer.ID) bool {
		t.Errorf("asked for %s, who signed nothing", id)
		return true
	}}
	wantError(t, set.Validate(aKey, forged), "the entry is not signed by")
}

func TestSignedSetReduceTable(t *testing.T) {
	ann, bob := ed25519Key(1), ed25519Key(2)
	a1, a2, a2x, b0 := sign(ann, aKey, 1, "z"), sign(ann, aKey, 2, "a"), sign(ann, aKey, 2, "b"), sign(bob, aKey, 0, "")
	both := [][]byte{a2, b0}
	if idOf(bob) < idOf(ann) {
		both = [][]byte{b0, a2}
	}
	for _, test := range []struct {
		name         string
		values, want [][]byte
		err          string
	}{
		{"none", nil, [][]byte{}, ""},
		{"one", [][]byte{b0}, [][]byte{b0}, ""},
		{"a duplicate", [][]byte{b0, b0}, [][]byte{b0}, ""},
		{"an older one", [][]byte{a2, a1}, [][]byte{a2}, ""},
		{"a newer one", [][]byte{a1, a2}, [][]byte{a2}, ""},
		{"two with one number", [][]byte{a2x, a2}, [][]byte{a2x}, ""},
		{"two owners", [][]byte{a1, b0, a2}, both, ""},
		{"two owners, turned", [][]byte{a2, b0, a1}, both, ""},
		{"garbage", [][]byte{b0, []byte("x")}, nil, "value 1: the value is not a signed envelope"},
		{"of another key", [][]byte{sign(ann, "/wall/bye", 3, "")}, nil, "value 0: the entry was signed for the key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := SignedSet{}.Reduce(aKey, test.values)
			wantError(t, err, test.err)
			if !slices.EqualFunc(got, test.want, bytes.Equal) || (got == nil) != (test.want == nil) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// pool are entries of four owners under one key: of each owner several sequence
// numbers, and several entries of each number. One type of key signs the
// same entry differently each time.
var pool = sync.OnceValue(func() []held {
	owners := []crypto.PrivKey{ed25519Key(1), ed25519Key(2), newKey(crypto.Secp256k1), newKey(crypto.ECDSA)}
	var entries []held
	for i, priv := range owners {
		for _, seq := range []uint64{0, 1, 2, 300} {
			for _, data := range []string{"", "a", fmt.Sprint(i), fmt.Sprint(i)} {
				value := sign(priv, aKey, seq, data)
				entries = append(entries, held{must(Open(aKey, value)), value})
			}
		}
	}
	return entries
})

// someEntries draws up to 12 entries of the pool, with duplicates.
func someEntries(t *rapid.T, label string, least int) []held {
	return rapid.SliceOfN(rapid.SampledFrom(pool()), least, 12).Draw(t, label)
}

// valuesOf returns the bytes of entries.
func valuesOf(entries []held) [][]byte {
	values := make([][]byte, 0, len(entries))
	for _, e := range entries {
		values = append(values, e.value)
	}
	return values
}

// compare orders entries by sequence number, then by bytes: the model.
func compare(a, b held) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), bytes.Compare(a.value, b.value))
}

func TestSelectIsTheGreatest(t *testing.T) {
	for name, v := range map[string]interface {
		Select(key string, values [][]byte) (int, error)
	}{"Signed": Signed{}, "SignedSet": SignedSet{}} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			entries := someEntries(t, "entries", 1)
			got, err := v.Select(aKey, valuesOf(entries))
			if err != nil {
				t.Fatal(err)
			}
			if want := slices.MaxFunc(entries, compare); !bytes.Equal(entries[got].value, want.value) {
				t.Errorf("selected %+v, want %+v", entries[got].Entry, want.Entry)
			}
		}))
	}
}

func TestReduceKeepsTheGreatestOfEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := someEntries(t, "entries", 0)
		values := valuesOf(entries)
		before := slices.Clone(values)
		got := must(SignedSet{}.Reduce(aKey, values))
		if !slices.EqualFunc(values, before, bytes.Equal) {
			t.Fatal("the argument was changed")
		}

		// The model: sort by owner and rank, keep the last of each owner.
		slices.SortFunc(entries, func(a, b held) int {
			return cmp.Or(cmp.Compare(a.Owner, b.Owner), compare(a, b))
		})
		var want [][]byte
		for i, e := range entries {
			if i+1 == len(entries) || entries[i+1].Owner != e.Owner {
				want = append(want, e.value)
			}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("got %d values, want %d:\n%q\n%q", len(got), len(want), got, want)
		}
	})
}

func TestReduceLaws(t *testing.T) {
	reduce := func(values [][]byte) [][]byte { return must(SignedSet{}.Reduce(aKey, values)) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := valuesOf(someEntries(t, "a", 0)), valuesOf(someEntries(t, "b", 0))
		all := slices.Concat(a, b)
		want := reduce(all)

		if got := reduce(rapid.Permutation(all).Draw(t, "order")); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("the order matters: %q and %q", got, want)
		}
		if got := reduce(want); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("the second time it is %q, not %q", got, want)
		}
		if got := reduce(slices.Concat(reduce(a), b)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("with the first part reduced before it is %q, not %q", got, want)
		}
		if got := reduce(slices.Concat(reduce(b), reduce(a))); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("with both parts reduced before it is %q, not %q", got, want)
		}
		if len(all) > 0 {
			x := all[must(SignedSet{}.Select(aKey, all))]
			if y := want[must(SignedSet{}.Select(aKey, want))]; !bytes.Equal(x, y) {
				t.Errorf("reducing changes what is selected: %q and %q", x, y)
			}
		}
	})
}
