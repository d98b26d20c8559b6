package validator

import (
	"strings"
	"testing"

	mh "github.com/multiformats/go-multihash"
)

func TestImmutableKey(t *testing.T) {
	// The multihash of "hello" as other tools write it.
	const want = "/blob/QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5"
	if got := ImmutableKey("blob", []byte("hello")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestImmutableValidate(t *testing.T) {
	value := []byte("hello")
	key := ImmutableKey("blob", value)
	sha1 := must(mh.Sum(value, mh.SHA1, -1)).B58String()
	short := must(mh.Sum(value, mh.SHA2_256, 20)).B58String()
	large := make([]byte, MaxValue)
	for _, test := range []struct{ name, key, value, want string }{
		{"its value", key, "hello", ""},
		{"an empty value", ImmutableKey("blob", nil), "", ""},
		{"the largest value", ImmutableKey("blob", large), string(large), ""},
		{"another value", key, "hallo", "the value is that of the key"},
		{"no value", key, "", "the value is that of the key"},
		{"a part of the key", key[:len(key)-1], "hello", "does not end in a SHA-256 multihash"},
		{"more than the key", key + "/x", "hello", "does not end in a SHA-256 multihash"},
		{"another hash function", "/blob/" + sha1, "hello", "it is sha1 with 20 bytes"},
		{"a shortened hash", "/blob/" + short, "hello", "it is sha2-256 with 20 bytes"},
		{"no hash", "/blob/", "hello", `is not "/namespace/rest"`},
		{"no namespace", "hello", "hello", `is not "/namespace/rest"`},
		{"an empty key", "", "hello", `is not "/namespace/rest"`},
		{"a long key", "/blob/" + strings.Repeat("Q", MaxKey), "hello", "the key has 1030 bytes, the limit is 1024"},
		{"a large value", ImmutableKey("blob", make([]byte, MaxValue+1)), string(make([]byte, MaxValue+1)), "the value has 1048577 bytes, the limit is 1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, Immutable{}.Validate(test.key, []byte(test.value)), test.want)
		})
	}
}

func TestSelectOfEqualValues(t *testing.T) {
	for name, v := range map[string]interface {
		Select(key string, values [][]byte) (int, error)
	}{"Immutable": Immutable{}, "PublicKey": PublicKey{}} {
		best, err := v.Select("/ns/key", [][]byte{{1}, {1}})
		if best != 0 || err != nil {
			t.Errorf("%s: got %d, %v; want the first", name, best, err)
		}
		_, err = v.Select("/ns/key", nil)
		wantError(t, err, "there are no values")
	}
}
