package validator

import (
	"bytes"
	"slices"
	"testing"

	record "github.com/libp2p/go-libp2p-record"
)

// checkValidator calls v with what may be garbage: nothing panics, and of two
// valid values the same one is selected in both orders.
func checkValidator(t *testing.T, v record.Validator, key string, a, b []byte) {
	t.Helper()
	errA, errB := v.Validate(key, a), v.Validate(key, b)
	ab, ba := [][]byte{a, b}, [][]byte{b, a}
	one, err1 := v.Select(key, ab)
	two, err2 := v.Select(key, ba)
	if errA != nil || errB != nil {
		return
	}
	if err1 != nil || err2 != nil {
		t.Fatalf("both are valid, and nothing is selected: %v, %v", err1, err2)
	}
	if !bytes.Equal(ab[one], ba[two]) {
		t.Fatalf("the order decides between %q and %q", a, b)
	}
}

func FuzzImmutable(f *testing.F) {
	hello := []byte("hello")
	f.Add(ImmutableKey("blob", hello), hello, hello)
	f.Add(ImmutableKey("blob", nil), []byte{}, hello)
	f.Add("/blob/Qm", hello, hello)
	f.Add("", hello, hello)
	f.Fuzz(func(t *testing.T, key string, a, b []byte) {
		checkValidator(t, Immutable{}, key, a, b)
		ns, _, err := split(key)
		if valid := (Immutable{}).Validate(key, a) == nil; valid != (err == nil && len(a) <= MaxValue && key == ImmutableKey(ns, a)) {
			t.Fatalf("valid is %t for the key %q", valid, key)
		}
	})
}

func FuzzSigned(f *testing.F) {
	ann, bob := ed25519Key(1), ed25519Key(2)
	key := SignedKey("note", idOf(ann), "")
	named := SignedKey("note", idOf(ann), "todo")
	f.Add(key, sign(ann, key, 1, "x"), sign(ann, key, 2, "y"))
	f.Add(named, sign(ann, named, 7, ""), sign(ann, named, 7, "y"))
	f.Add(key, sign(bob, key, 1, "x"), sign(ann, named, 1, "x"))
	f.Add("/note/Qm/", []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, key string, a, b []byte) {
		checkValidator(t, Signed{}, key, a, b)
		if (Signed{}).Validate(key, a) != nil {
			return
		}
		// What is valid was made by the owner, for this very key.
		_, rest, err := split(key)
		if err != nil {
			t.Fatal(err)
		}
		if text := must(Open(key, a)).Owner.String(); rest != text && !bytes.HasPrefix([]byte(rest), []byte(text+"/")) {
			t.Fatalf("%s owns %q", text, key)
		}
	})
}

func FuzzSignedSet(f *testing.F) {
	ann, bob := ed25519Key(1), ed25519Key(2)
	f.Add(aKey, sign(ann, aKey, 1, "x"), sign(ann, aKey, 2, "y"))
	f.Add(aKey, sign(ann, aKey, 1, "x"), sign(bob, aKey, 1, "x"))
	f.Add("/x/y", []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, key string, a, b []byte) {
		set := SignedSet{}
		checkValidator(t, set, key, a, b)
		one, err1 := set.Reduce(key, [][]byte{a, b, a})
		two, err2 := set.Reduce(key, [][]byte{b, a})
		if (err1 == nil) != (err2 == nil) || !slices.EqualFunc(one, two, bytes.Equal) {
			t.Fatalf("the order decides: %q, %v and %q, %v", one, err1, two, err2)
		}
		if again, err := set.Reduce(key, one); err != nil || !slices.EqualFunc(again, one, bytes.Equal) {
			t.Fatalf("the second time: %q, %v; not %q", again, err, one)
		}
		if set.Validate(key, a) == nil && set.Validate(key, b) == nil && err1 != nil {
			t.Fatalf("both are valid, and not reduced: %v", err1)
		}
	})
}

// FuzzEntry signs arbitrary payloads, for what no stranger can reach: the
// reader of what was signed.
func FuzzEntry(f *testing.F) {
	var p payload
	for _, p := range []payload{{aKey, 0, nil}, {aKey, 7, []byte("hello")}, {"/x/y", 1 << 63, []byte{0}}} {
		f.Add(must(p.MarshalRecord()))
	}
	f.Add([]byte{0x08, 0x01})
	ann := ed25519Key(1)
	f.Fuzz(func(t *testing.T, signed []byte) {
		value := seal(ann, p.Domain(), string(p.Codec()), signed)
		entry, err := Open(aKey, value)
		if err != nil {
			return
		}
		if again := must(Sign(ann, aKey, entry.Seq, entry.Data)); !bytes.Equal(again, value) {
			t.Fatalf("%q is not how %+v is signed", signed, entry)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	for n := range byte(2) {
		key, value := publicKey(ed25519Key(n))
		f.Add(key, value, value)
	}
	f.Add("/pk/x", []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, key string, a, b []byte) {
		checkValidator(t, PublicKey{}, key, a, b)
	})
}
