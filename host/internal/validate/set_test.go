package validate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authors is a Reducer: a value is a letter, its author, and digits, its version. Of
// each author the newest is held.
type authors struct{}

var errNoAuthor = errors.New("a value is a letter and digits")

func (authors) Validate(_ string, value []byte) error {
	if len(value) < 2 || value[0] < 'a' || value[0] > 'z' {
		return errNoAuthor
	}
	return nil
}

func (authors) Limits() (values, size int) { return 3, 10 }

func (authors) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if bytes.Compare(v[1:], values[best][1:]) > 0 || bytes.Equal(v[1:], values[best][1:]) && v[0] < values[best][0] {
			best = i
		}
	}
	return best, nil
}

func (authors) Reduce(_ string, values [][]byte) ([][]byte, error) {
	newest := make(map[byte][]byte)
	for _, v := range values {
		if old := newest[v[0]]; old == nil || bytes.Compare(v[1:], old[1:]) > 0 {
			newest[v[0]] = v
		}
	}
	var out [][]byte
	for _, v := range newest { // in no order: the DHT must not depend on it
		out = append(out, v)
	}
	return out, nil
}

// testValidators are for "/v/", one value, and "/s/", a set.
func testValidators() Rules {
	return Rules{"v": roomtest.Digits{}, "s": authors{}}
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name string
		key  string
		give []string
		want []string // the first one, and then the others in any order
	}{
		{"one", "/v/k", []string{"1"}, []string{"1"}},
		{"the best one", "/v/k", []string{"1", "3", "2"}, []string{"3"}},
		{"equally good ones: the one preferred", "/v/k", []string{"1a", "0d", "1c", "1b"}, []string{"1c"}},
		{"a set of one", "/s/k", []string{"a1"}, []string{"a1"}},
		{"the newest of each", "/s/k", []string{"a1", "b2", "a3", "b1", "c2"}, []string{"a3", "b2", "c2"}},
		{"twice the same", "/s/k", []string{"a1", "a1"}, []string{"a1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 { // the order must not matter
				var give [][]byte
				for _, v := range tt.give {
					give = append(give, []byte(v))
				}
				got, err := testValidators().Merge([]byte(tt.key), give, func(equal [][]byte) []byte { return equal[len(equal)-1] })
				if err != nil || len(got) == 0 || string(got[0]) != tt.want[0] {
					t.Fatalf("merge = %q, %v; want %q", got, err, tt.want)
				}
				slices.SortFunc(got[1:], bytes.Compare)
				if fmt.Sprintf("%s", got) != fmt.Sprint(tt.want) {
					t.Fatalf("merge = %q; want %q", got, tt.want)
				}
				slices.Reverse(tt.give)
			}
		})
	}
}

// Behaviour: the reducer is applied to the first store as to later ones, and what is
// held does not depend on the order in which values arrive.
func TestMergeHeldOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := testValidators()
		key := []byte("/s/k")
		values := rapid.SliceOfN(rapid.StringMatching(`[a-d][0-9]`), 1, 12).Draw(t, "values")
		hold := func(values []string) (held []store.Value) {
			for _, value := range values {
				next, err := v.MergeHeld(key, held, []store.Value{{Data: []byte(value)}}, true)
				if errors.Is(err, kaderr.ErrOldRecord) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				held = next
			}
			slices.SortFunc(held, func(a, b store.Value) int { return bytes.Compare(a.Data, b.Data) })
			return held
		}
		other := rapid.Permutation(values).Draw(t, "other order")
		if a, b := fmt.Sprintf("%s", hold(values)), fmt.Sprintf("%s", hold(other)); a != b {
			t.Fatalf("%s, and %s", a, b)
		}
	})
}

// Older is refused, equal lives on, and what is there is kept in any case.
func TestMergeHeld(t *testing.T) {
	v := testValidators()
	now := time.Unix(1_700_000_000, 0)
	in := func(h int) time.Time { return now.Add(time.Duration(h) * time.Hour) }
	value := func(data string, received, expires int) store.Value {
		return store.Value{Data: []byte(data), Received: in(received), Expires: in(expires)}
	}
	t.Run("older", func(t *testing.T) {
		for _, key := range []string{"/v/k", "/s/k"} {
			if _, err := v.MergeHeld([]byte(key), []store.Value{value("a2", 0, 9)}, []store.Value{value("a1", 0, 9)}, true); key == "/s/k" && !errors.Is(err, kaderr.ErrOldRecord) {
				t.Errorf("%s: %v, want kaderr.ErrOldRecord", key, err)
			}
		}
		if _, err := v.MergeHeld([]byte("/v/k"), []store.Value{value("2", 0, 9)}, []store.Value{value("1", 0, 9)}, true); !errors.Is(err, kaderr.ErrOldRecord) {
			t.Errorf("%v, want kaderr.ErrOldRecord", err)
		}
	})
	t.Run("equal lives as long as the later says", func(t *testing.T) {
		for _, key := range []string{"/v/k", "/s/k"} {
			data := "a1"
			if key == "/v/k" {
				data = "1"
			}
			for _, expires := range []int{3, 9} {
				got, err := v.MergeHeld([]byte(key), []store.Value{value(data, 0, 6)}, []store.Value{value(data, 1, expires)}, true)
				if err != nil || len(got) != 1 || !got[0].Received.Equal(in(1)) || !got[0].Expires.Equal(in(max(6, expires))) {
					t.Errorf("%s: %v, %v", key, got, err)
				}
			}
		}
	})
	t.Run("each of a set by its own time", func(t *testing.T) {
		got, err := v.MergeHeld([]byte("/s/k"), []store.Value{value("a1", 0, 6)}, []store.Value{value("b1", 1, 9)}, true)
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		for _, g := range got {
			if want := map[string]int{"a1": 6, "b1": 9}[string(g.Data)]; !g.Expires.Equal(in(want)) {
				t.Errorf("%s expires at %v", g.Data, g.Expires)
			}
		}
	})
}

// blank is a validator that takes all values for equal, as many are; last takes the last
// one.
type blank struct{ last bool }

func (blank) Validate(string, []byte) error { return nil }

func (b blank) Select(_ string, values [][]byte) (int, error) {
	if b.last {
		return len(values) - 1, nil
	}
	return 0, nil
}

// Of values that the validator takes for equal, a put replaces the one that is held, and a
// copy does if it was put later; their bytes do not matter.
func TestMergeHeldEqual(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	value := func(data string, expires time.Duration) []store.Value {
		v := store.Value{Data: []byte(data)}
		if expires > 0 {
			v.Expires = now.Add(expires)
		}
		return []store.Value{v}
	}
	for _, tt := range []struct {
		name          string
		held, arrived time.Duration // until they expire; 0: never
		put, want     bool
	}{
		{"a put", 48 * time.Hour, 48 * time.Hour, true, true},
		{"a put, an hour later", 47 * time.Hour, 48 * time.Hour, true, true},
		{"an old value from its publisher", 48 * time.Hour, 47 * time.Hour, true, false},
		{"a put that never expires", 0, 0, true, true},
		{"a copy of an older one", 48 * time.Hour, 47 * time.Hour, false, false},
		{"a copy of about the same time", 48 * time.Hour, 48*time.Hour + Tolerance, false, false},
		{"a copy of a newer one", 47 * time.Hour, 48 * time.Hour, false, true},
		{"a copy where nothing expires", 0, 0, false, false},
		{"a copy that expires where the other does not", 0, time.Hour, false, false},
	} {
		for _, v := range []Rules{{"v": blank{}}, {"v": blank{last: true}}} {
			for _, data := range []string{"b", "a"} {
				other := map[string]string{"a": "b", "b": "a"}[data]
				got, err := v.MergeHeld([]byte("/v/k"), value(other, tt.held), value(data, tt.arrived), tt.put)
				if taken := err == nil && string(got[0].Data) == data; taken != tt.want || !taken && !errors.Is(err, kaderr.ErrOldRecord) {
					t.Errorf("%s: %q replaces %q: %v, %v; want %v", tt.name, data, other, taken, err, tt.want)
				}
			}
		}
	}
}

// What is packed is read as it was, without what has expired meanwhile.
func TestPack(t *testing.T) {
	v := testValidators()
	rapid.Check(t, func(t *rapid.T) {
		base := time.UnixMilli(1_700_000_000_000)
		set := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Value {
			x := store.Value{
				Data:      rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
				Publisher: rapid.SliceOf(rapid.Byte()).Draw(t, "publisher"),
				Received:  base.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "received")) * time.Second),
			}
			if s := rapid.IntRange(0, 100).Draw(t, "expires"); s > 0 {
				x.Expires = base.Add(time.Duration(s) * time.Second)
			}
			return x
		}), 1, 8).Draw(t, "set")
		packed := v.Pack([]byte("/s/k"), set)
		now := base.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "now")) * time.Second)
		want := slices.DeleteFunc(slices.Clone(set), func(x store.Value) bool { return !x.Expires.IsZero() && !now.Before(x.Expires) })
		got := v.Unpack([]byte("/s/k"), packed, now)
		if len(got) != len(want) {
			t.Fatalf("%d values, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, want[i].Data) || !bytes.Equal(got[i].Publisher, want[i].Publisher) ||
				!got[i].Received.Equal(want[i].Received) || !got[i].Expires.Equal(want[i].Expires) {
				t.Fatalf("%v, want %v", got[i], want[i])
			}
		}
		for _, x := range set {
			if x.Received.Before(packed.Received) || !packed.Expires.IsZero() && (x.Expires.IsZero() || x.Expires.After(packed.Expires)) {
				t.Fatalf("%v is packed as received %v, expiring %v", x, packed.Received, packed.Expires)
			}
		}
		cut := packed
		cut.Data = packed.Data[:len(packed.Data)-1]
		v.Unpack([]byte("/s/k"), cut, now) // must not panic
	})
}

// A reducer that leaves nothing, or fails, is an error.
func TestMergeFails(t *testing.T) {
	for _, bad := range []record.Validator{reduces{func([][]byte) ([][]byte, error) { return nil, nil }}, reduces{func([][]byte) ([][]byte, error) { return nil, errNoAuthor }}} {
		if _, err := (Rules{"s": bad}).Merge([]byte("/s/k"), [][]byte{[]byte("a1")}, nil); !errors.Is(err, kaderr.ErrInvalidRecord) {
			t.Errorf("%v, want kaderr.ErrInvalidRecord", err)
		}
	}
}

// reduces is a Reducer that does as it is told.
type reduces struct {
	reduce func([][]byte) ([][]byte, error)
}

func (reduces) Validate(string, []byte) error                        { return nil }
func (reduces) Select(string, [][]byte) (int, error)                 { return 0, nil }
func (r reduces) Reduce(_ string, values [][]byte) ([][]byte, error) { return r.reduce(values) }

// A Reducer states its limits; without, and beyond what a message holds, there are ours.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		validator    record.Validator
		values, size int
	}{
		{authors{}, 3, 10},
		{reduces{}, defaultValues, defaultValueSize},
		{limited{reduces{}, 0, -1}, defaultValues, defaultValueSize},
		{limited{reduces{}, 1 << 20, 1 << 30}, protocol.MaxRecords, protocol.MaxValue},
		{roomtest.Digits{}, 1, protocol.MaxValue},
	} {
		v := Rules{"s": tt.validator}
		if values, size := v.Limits([]byte("/s/k")); values != tt.values || size != tt.size {
			t.Errorf("%T: %d values, %d bytes; want %d, %d", tt.validator, values, size, tt.values, tt.size)
		}
	}
	set := []store.Value{{Data: []byte("a1")}, {Data: []byte("b2")}, {Data: []byte("c3")}, {Data: []byte("d4")}}
	v := testValidators()
	if err := v.Bounded([]byte("/s/k"), set[:3]); err != nil {
		t.Errorf("three values: %v", err)
	}
	if err := v.Bounded([]byte("/s/k"), set); !errors.Is(err, kaderr.ErrTooMany) {
		t.Errorf("four values: %v, want ErrTooMany", err)
	}
	set[2].Data = []byte("c333333")
	if err := v.Bounded([]byte("/s/k"), set[:3]); !errors.Is(err, kaderr.ErrTooMany) {
		t.Errorf("eleven bytes: %v, want ErrTooMany", err)
	}
	if err := v.Bounded([]byte("/s/k"), []store.Value{{Data: []byte("a2345678901")}}); err != nil {
		t.Errorf("one large value: %v", err)
	}
}

// A limited is a Reducer with limits.
type limited struct {
	reduces
	values, size int
}

func (l limited) Limits() (values, size int) { return l.values, l.size }
