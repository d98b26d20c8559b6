package host_test

import (
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// blank is a validator that accepts all values and prefers none, as many programs have it.
type blank struct{}

func (blank) Validate(string, []byte) error        { return nil }
func (blank) Select(string, [][]byte) (int, error) { return 0, nil }

// An update replaces the value before it, whatever its bytes, at every holder and for every
// reader. Neither the publisher of the old value, nor a holder that was away during the
// update, brings the old value back.
func TestUpdateOfEqual(t *testing.T) { synctest.Test(t, testUpdateOfEqual) }

func testUpdateOfEqual(t *testing.T) {
	const count = 6
	n := kadtest.New(t, kadtest.Config{})
	nodes := n.Add(count, kad.Config{RefreshInterval: 6 * time.Hour, Validators: map[string]record.Validator{"v": blank{}}})
	n.Settle()
	put := func(i int, value string) {
		t.Helper()
		if _, err := nodes[i].DHT.Put(t.Context(), "/v/key", []byte(value)); err != nil {
			t.Fatalf("put %q: %v", value, err)
		}
	}
	read := func(when, want string) {
		t.Helper()
		for i, d := range nodes {
			if got, err := d.DHT.GetValue(t.Context(), "/v/key"); err != nil || string(got) != want {
				t.Errorf("%s, node %d reads %q, %v; want %q", when, i, got, err, want)
			}
		}
	}
	put(0, "a") // updates within a second of each other, to greater and to lesser bytes
	put(0, "c")
	put(1, "b")
	read("at once", "b")

	time.Sleep(10 * time.Minute)
	n.Unplug(nodes[2])
	time.Sleep(time.Minute)
	put(3, "a")
	time.Sleep(time.Hour)
	n.Heal(nodes[2])
	time.Sleep(10 * time.Minute)
	read("after the return of a holder", "a")
	for day := range 3 { // the publishers of c and b would publish them again
		time.Sleep(24 * time.Hour)
		read("days later", "a")
		for i, d := range nodes {
			if got, err := d.DHT.GetValue(t.Context(), "/v/key", lrouting.Offline); err != nil || string(got) != "a" {
				t.Errorf("day %d: node %d holds %q, %v; want the update", day+1, i, got, err)
			}
		}
	}
	for i, want := range []int{0, 0, 0, 1} {
		if got := nodes[i].DHT.Stats().Publications; got != want {
			t.Errorf("node %d has %d publications, want %d", i, got, want)
		}
	}
}
