package network_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// authors is a Reducer: a value is a letter and a version, and the newest of each letter
// stays. The greatest version is the best.
type authors struct{}

func (authors) Validate(_ string, value []byte) error {
	if len(value) < 2 || value[0] < 'a' || value[0] > 'z' {
		return errors.New("a value is a letter and digits")
	}
	return nil
}

func (authors) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if order := bytes.Compare(v[1:], values[best][1:]); order > 0 || order == 0 && v[0] < values[best][0] {
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

// A key of a Reducer holds what all have put: every node gets all of it, and a get of one
// value gets the best. Each value expires by itself.
func TestSetOfValues(t *testing.T) { bubble(t, testSetOfValues) }

func testSetOfValues(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	nodes := n.Add(12, kad.Config{
		Validators: map[string]record.Validator{"s": authors{}}, K: 4,
		RecordAge: 10 * time.Hour, RepublishInterval: 4 * time.Hour, RefreshInterval: time.Hour,
	})
	n.Settle()
	for i, values := range [][]string{{"a1", "b1"}, {"c1"}, {"a3", "a2"}} {
		for _, value := range values {
			_, err := nodes[i].DHT.Put(t.Context(), "/s/key", []byte(value))
			if (value == "a2") != errors.Is(err, kad.ErrOldRecord) || value != "a2" && err != nil {
				t.Fatalf("Put(%q) = %v", value, err)
			}
		}
	}
	want := func(when, best string, all ...string) {
		t.Helper()
		for i, d := range nodes {
			values, err := d.DHT.GetValues(t.Context(), "/s/key")
			if err != nil {
				t.Fatalf("%s: node %d: %v", when, i, err)
			}
			got := make([]string, len(values))
			for j, v := range values {
				got[j] = string(v)
			}
			if got[0] != best {
				t.Errorf("%s: the best one is %q, want %q", when, got[0], best)
			}
			if one, err := d.DHT.GetValue(t.Context(), "/s/key"); err != nil || string(one) != got[0] {
				t.Errorf("%s: GetValue() = %q, %v", when, one, err)
			}
			if slices.Sort(got); !slices.Equal(got, all) {
				t.Errorf("%s: node %d: %s, want %s", when, i, got, all)
			}
		}
	}
	want("at first", "a3", "a3", "b1", "c1")
	time.Sleep(24 * time.Hour)
	want("after a day in which their publishers published all again", "a3", "a3", "b1", "c1")
	if err := nodes[1].DHT.StopPublishing(t.Context(), "/s/key"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(11 * time.Hour)
	want("when one has stopped", "a3", "a3", "b1")
}
