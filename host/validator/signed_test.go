package validator

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestSignedKey(t *testing.T) {
	owner := idOf(ed25519Key(1))
	for _, test := range []struct{ name, want string }{
		{"", "/note/" + owner.String()},
		{"a", "/note/" + owner.String() + "/a"},
		{"a/b", "/note/" + owner.String() + "/a/b"},
	} {
		if got := SignedKey("note", owner, test.name); got != test.want {
			t.Errorf("name %q: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestSignedValidate(t *testing.T) {
	ann, bob := ed25519Key(1), ed25519Key(2)
	owner := idOf(ann)
	key := SignedKey("note", owner, "")
	named := SignedKey("note", owner, "todo/today")
	asCID := "/note/" + peer.ToCid(owner).String()
	longest := SignedKey("note", owner, strings.Repeat("n", MaxKey-len(key)-1))
	for _, test := range []struct {
		name, key string
		value     []byte
		want      string
	}{
		{"of the owner", key, sign(ann, key, 1, "x"), ""},
		{"under a name", named, sign(ann, named, 1, "x"), ""},
		{"under the longest name", longest, sign(ann, longest, 1, "x"), ""},
		{"of somebody else", key, sign(bob, key, 1, "x"), "is signed by " + idOf(bob).String() + ", and the key belongs to " + owner.String()},
		{"from another name", key, sign(ann, named, 1, "x"), "was signed for the key"},
		{"from another namespace", key, sign(ann, SignedKey("wall", owner, ""), 1, "x"), "was signed for the key"},
		{"from another owner", key, sign(bob, SignedKey("note", idOf(bob), ""), 1, "x"), "was signed for the key"},
		{"not signed", key, []byte("x"), "not a signed envelope"},
		{"an empty name", key + "/", sign(ann, key+"/", 1, "x"), "the name after the slash is empty"},
		{"the ID as a CID", asCID, sign(ann, asCID, 1, "x"), "write the ID as " + owner.String()},
		{"no ID", "/note/ann", sign(ann, "/note/ann", 1, "x"), `is not "/namespace/peer ID"`},
		{"the name first", "/note/todo/" + owner.String(), nil, `is not "/namespace/peer ID"`},
		{"no namespace", "//" + owner.String(), nil, `is not "/namespace/rest"`},
		{"an empty key", "", nil, `is not "/namespace/rest"`},
		{"a long key", longest + "n", nil, "the key has 1025 bytes, the limit is 1024"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, Signed{}.Validate(test.key, test.value), test.want)
		})
	}
}

// Every type of key can own a value.
func TestSignedKeyTypes(t *testing.T) {
	for name, typ := range keyTypes() {
		priv := newKey(typ)
		key := SignedKey("note", idOf(priv), "todo")
		if err := (Signed{}).Validate(key, sign(priv, key, 1, "x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignedSelect(t *testing.T) {
	ann := ed25519Key(1)
	key := SignedKey("note", idOf(ann), "")
	first, second := sign(ann, key, 1, "z"), sign(ann, key, 2, "b")
	twin, large := sign(ann, key, 2, "c"), sign(ann, key, 256, "")
	for _, test := range []struct {
		name   string
		values [][]byte
		want   int
		err    string
	}{
		{"one", [][]byte{first}, 0, ""},
		{"a replay after", [][]byte{second, first}, 0, ""},
		{"a replay before", [][]byte{first, second}, 1, ""},
		{"numbers, not bytes", [][]byte{second, large, first}, 1, ""},
		{"two with one number", [][]byte{twin, second}, 0, ""},
		{"two with one number, turned", [][]byte{second, twin}, 1, ""},
		{"equal ones", [][]byte{first, second, second}, 1, ""},
		{"none", nil, -1, "there are no values"},
		{"garbage", [][]byte{first, []byte("x")}, -1, "value 1: the value is not a signed envelope"},
		{"of another key", [][]byte{sign(ann, key+"/x", 3, "")}, -1, "value 0: the entry was signed for the key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Signed{}.Select(key, test.values)
			wantError(t, err, test.err)
			if got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
