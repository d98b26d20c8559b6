package find

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// A get returns the best value, and reports each better one on its way; invalid values
// count as none. Without a valid value the error is ErrNotFound.
func TestValues(t *testing.T) { synctest.Test(t, testValues) }

func testValues(t *testing.T) {
	n := newNode(t, 6, 1, false)
	var improved []string
	o := ValuesOptions{Improved: func(v []byte) { improved = append(improved, string(v)) }}
	if _, err := n.Values(t.Context(), testKey, o); !errors.Is(err, kaderr.ErrNotFound) {
		t.Errorf("no holder: %v", err)
	}
	n.gives(n.peers[0], value("invalid", 0))
	if _, err := n.Values(t.Context(), testKey, o); !errors.Is(err, kaderr.ErrNotFound) || len(improved) > 0 {
		t.Errorf("an invalid value: %v, %q", err, improved)
	}
	if _, err := n.Values(t.Context(), []byte("/unknown/key"), o); err == nil {
		t.Error("a value without a validator")
	}
	for i, v := range []string{"1", "3", "2", "3", "1"} {
		n.gives(n.peers[i], value(v, 0))
	}
	got, err := n.Values(t.Context(), testKey, o)
	if err != nil || !slices.Equal(texts(got), []string{"3"}) {
		t.Errorf("%q, %v; want the best value", got, err)
	}
	if !slices.IsSorted(improved) || len(slices.Compact(slices.Clone(improved))) != len(improved) || len(improved) == 0 || improved[len(improved)-1] != "3" {
		t.Errorf("reported %q, want better and better values", improved)
	}
}

// Of values that the validator takes for equal, a get takes the one that was put last; of
// about the same time, the one that most peers have, in whatever order they answer.
func TestValuesEqual(t *testing.T) {
	type gave struct {
		value string
		ttl   time.Duration
	}
	for _, tt := range []struct {
		name string
		give []gave
		want string
	}{
		{"the one that expires last", []gave{{"1b", 47 * time.Hour}, {"1a", 48 * time.Hour}, {"1b", 47 * time.Hour}}, "1a"},
		{"about the same time", []gave{{"1a", 48 * time.Hour}, {"1b", 48*time.Hour + 30*time.Second}, {"1a", 48 * time.Hour}}, "1a"},
		{"as many", []gave{{"1a", 48 * time.Hour}, {"1b", 48 * time.Hour}}, "1b"},
		{"no lifetime", []gave{{"1b", 0}, {"1a", 0}, {"1a", 0}}, "1a"},
		{"three", []gave{{"1c", time.Hour}, {"1b", time.Hour + 40*time.Second}, {"1a", time.Hour + 80*time.Second}, {"1a", time.Hour + 80*time.Second}}, "1a"},
		{"a better one", []gave{{"1b", 48 * time.Hour}, {"2a", time.Hour}}, "2a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				synctest.Test(t, func(t *testing.T) {
					n := newNode(t, 6, 1, false)
					for i, g := range tt.give {
						n.gives(n.peers[i], value(g.value, g.ttl))
					}
					if got, err := n.Values(t.Context(), testKey, ValuesOptions{}); err != nil || !slices.Equal(texts(got), []string{tt.want}) {
						t.Errorf("%q, %v; want %q", got, err, tt.want)
					}
				})
				slices.Reverse(tt.give)
			}
		})
	}
}

// A quorum ends a get when so many holders have the best value: this node is one of them,
// a holder of a worse value is not.
func TestValuesQuorum(t *testing.T) {
	for _, tt := range []struct {
		name    string
		quorum  int
		held    bool
		answers int // of four peers, which give 1, 2, 2 and 2
	}{
		{"none", 0, false, 4},
		{"one", 1, false, 1},
		{"two", 2, false, 3},
		{"three", 3, false, 4},
		{"more than there are", 9, false, 4},
		{"one, and we hold it", 1, true, 0},
		{"two, and we hold it", 2, true, 2},
		{"three, and we hold it", 3, true, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 4, 1, false)
				var answered atomic.Int32
				for i, v := range []string{"1", "2", "2", "2"} { // one answer after the other, however they are asked
					n.net.Add(n.peers[i], calltest.After(time.Duration(5*i+5)*time.Millisecond, func(context.Context, protocol.Request) (resp protocol.Response, _ error) {
						answered.Add(1)
						resp.Record = &value(v, 0)[0]
						return resp, nil
					}))
				}
				if tt.held {
					if err := n.holder.Store(t.Context(), time.Now(), n.self, value("2", 0)...); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := n.Values(t.Context(), testKey, ValuesOptions{Quorum: tt.quorum}); err != nil {
					t.Error(err)
				}
				if got := int(answered.Load()); got != tt.answers {
					t.Errorf("it waited for %d answers, want %d", got, tt.answers)
				}
			})
		})
	}
}

// Offline, a get asks no peer; it returns what has expired if the caller wants that.
func TestValuesOffline(t *testing.T) { synctest.Test(t, testValuesOffline) }

func testValuesOffline(t *testing.T) {
	n := newNode(t, 4, 1, false)
	n.gives(n.peers[0], value("9", 0))
	offline := ValuesOptions{Offline: true}
	if _, err := n.Values(t.Context(), testKey, offline); !errors.Is(err, kaderr.ErrNotFound) {
		t.Errorf("not held: %v", err)
	}
	if err := n.holder.Store(t.Context(), time.Now(), n.self, value("1", time.Hour)...); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Values(t.Context(), testKey, offline); err != nil || !slices.Equal(texts(got), []string{"1"}) {
		t.Errorf("held: %q, %v", got, err)
	}
	time.Sleep(2 * time.Hour)
	if _, err := n.Values(t.Context(), testKey, offline); !errors.Is(err, kaderr.ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
	offline.Expired = true
	if got, err := n.Values(t.Context(), testKey, offline); err != nil || !slices.Equal(texts(got), []string{"1"}) {
		t.Errorf("expired, and wanted: %q, %v", got, err)
	}
	if asked := n.net.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

// After a get, the k closest hold the best value, holders of a worse value and this node
// too, for as long as the holder that keeps it longest; the closest peer beyond them that holds
// none is left a copy, with a shorter life.
func TestCorrect(t *testing.T) {
	for _, ttl := range []time.Duration{10 * time.Hour, 0} { // 0: the holders do not say
		synctest.Test(t, func(t *testing.T) { testCorrect(t, ttl) })
	}
}

func testCorrect(t *testing.T, ttl time.Duration) {
	n := newNode(t, 2*testK, 10, true)
	for i, v := range map[int]string{0: "2", 1: "1", testK: "2", testK + 1: "1"} {
		n.gives(n.peers[i], value(v, ttl))
	}
	n.net.Add(n.peers[2], calltest.After(calltest.RoundTrip, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		resp, err := calltest.Knows(testK, n.peers...)(ctx, req)
		resp.Record = &value("2", ttl/5)[0]
		return resp, err
	}))
	if err := n.holder.Store(t.Context(), time.Now(), n.self, value("0", 0)...); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Values(t.Context(), testKey, ValuesOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	puts := n.puts()
	for i, want := range []bool{false, true, false, true, false, true, true, false} {
		rec, sent := puts[n.peers[i]]
		if sent != want || sent && string(rec.Value) != "2" {
			t.Errorf("peer %d was sent %q: %v, want %v", i, rec.Value, sent, want)
		}
		least, most := ttl*9/10, ttl
		if i == testK+2 { // the copy
			least, most = time.Minute, cmp.Or(ttl, n.cfg.RecordAge)*9/10
		}
		if sent && (rec.TTL < least || rec.TTL > most) {
			t.Errorf("peer %d was sent a record that lives for %v, want %v to %v", i, rec.TTL, least, most)
		}
	}
	if got, err := n.Values(t.Context(), testKey, ValuesOptions{Offline: true}); err != nil || !slices.Equal(texts(got), []string{"2"}) {
		t.Errorf("we hold %q, %v; want it corrected", got, err)
	}
	if corrected, cached := n.Stats(); corrected != 3 || cached != 1 {
		t.Errorf("%d corrections and %d copies, want 3 and 1", corrected, cached)
	}
}

// Values of several holders that are more than a key may have are not put together.
func TestTooManyValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2, 1, false)
		n.cfg.Rules["s"] = pairs{}
		for i, values := range [][]string{{"1", "2"}, {"3", "4"}} {
			var give []protocol.Record
			for _, v := range values {
				give = append(give, value(v, 0)...)
			}
			n.gives(n.peers[i], give)
		}
		got, err := n.Values(t.Context(), []byte("/s/key"), ValuesOptions{})
		if s := texts(got); err != nil || !slices.Equal(s, []string{"1", "2"}) && !slices.Equal(s, []string{"3", "4"}) {
			t.Errorf("%q, %v; want those of one holder", got, err)
		}
	})
}

// pairs is a Reducer of sets of two values, which drops none.
type pairs struct{}

func (pairs) Validate(string, []byte) error                            { return nil }
func (pairs) Select(string, [][]byte) (int, error)                     { return 0, nil }
func (pairs) Reduce(_ string, values [][]byte) (out [][]byte, _ error) { return values, nil }
func (pairs) Limits() (values, size int)                               { return 2, 100 }

// A get leaves no copy if it is not to, and corrects nothing if it wants what has expired,
// or if the value is about to expire.
func TestCorrectNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		ttl  time.Duration
		o    ValuesOptions
		want int
	}{
		{"no copies", time.Hour, ValuesOptions{}, testK - 1},
		{"expired values too", time.Hour, ValuesOptions{Expired: true}, 0},
		{"read only", time.Hour, ValuesOptions{ReadOnly: true}, 0},
		{"about to expire", 1500 * time.Millisecond, ValuesOptions{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 2*testK, 10, false)
				n.gives(n.peers[0], value("1", tt.ttl))
				if _, err := n.Values(t.Context(), testKey, tt.o); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if puts := n.puts(); len(puts) != tt.want {
					t.Errorf("%d records were sent, want %d", len(puts), tt.want)
				}
			})
		})
	}
}

// A get waits for contacts as long as any operation if this node holds nothing, and for SlowAfter
// if it holds a value.
func TestGetBeforeContacts(t *testing.T) {
	for _, holds := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 0, 1, false)
			if holds {
				if err := n.holder.StoreOwn(t.Context(), time.Now(), value("1", 0)...); err != nil {
					t.Fatal(err)
				}
			}
			time.AfterFunc(3*time.Second, func() {
				n.gives(calltest.ID(1), value("2", 0))
				_, _ = n.cfg.Call.Request(t.Context(), nil, calltest.Contact(calltest.ID(1)), protocol.Ping{}, nil)
			})
			began := time.Now()
			got, err := n.Values(t.Context(), testKey, ValuesOptions{})
			want, after := "2", 3*time.Second
			if holds {
				want, after = "1", time.Second
			}
			if took := time.Since(began); err != nil || !slices.Equal(texts(got), []string{want}) || took.Round(time.Second) != after {
				t.Errorf("it holds a value: %v; found %q, %v, after %v; want %s after %v", holds, texts(got), err, took, want, after)
			}
			time.Sleep(5 * time.Second)
		})
	}
}

// A get corrects an older value that this node holds, and stores none here that it did not hold.
func TestCorrectsItself(t *testing.T) {
	for held, want := range map[string][]string{"": nil, "1": {"2"}, "2": {"2"}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, testK, testK, false)
			before := time.Now()
			if held != "" {
				if err := n.holder.StoreOwn(t.Context(), before, value(held, 0)...); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			n.gives(n.peers[0], value("1", 0)) // it is corrected, too
			for _, id := range n.peers[1:] {
				n.gives(id, value("2", 0))
			}
			if _, err := n.Values(t.Context(), testKey, ValuesOptions{}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			values, err := n.holder.Held(t.Context(), testKey, time.Now())
			var got [][]byte
			for _, v := range values {
				got = append(got, v.Data)
				if held == "2" && !v.Received.Equal(before) {
					t.Error("a value that is right was stored again")
				}
			}
			if err != nil || !slices.Equal(texts(got), want) {
				t.Errorf("a node that held %q holds %q, %v; want %q", held, texts(got), err, want)
			}
			if len(n.puts()) == 0 {
				t.Error("the peer that has an older value was not corrected")
			}
		})
	}
}
