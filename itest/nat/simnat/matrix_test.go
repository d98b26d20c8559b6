package simnat

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
)

// flavours are those that the tests with hosts use.
func flavours() []Flavour {
	return []Flavour{PortRestricted(), AddressRestricted(), FullCone(), Symmetric()}
}

// possible returns how a peer behind one NAT can reach one behind another: as real
// NATs of the kernel have it. A port that is different for each remote is no use to
// who lets in only from ports that it has sent to.
func possible(from, to Flavour) verdict {
	for _, pair := range [][2]Flavour{{from, to}, {to, from}} {
		if pair[0].Mapping == AddressAndPortDependent && pair[1].Filtering == AddressAndPortDependent {
			return relayed
		}
	}
	return direct
}

// TestMatrix shows for each pair of flavours that a peer is found by its ID, and
// how it is reached.
func TestMatrix(t *testing.T) {
	want := [][]verdict{ // rows: who dials; columns: who is dialled
		{direct, direct, direct, relayed},
		{direct, direct, direct, direct},
		{direct, direct, direct, direct},
		{relayed, direct, direct, relayed},
	}
	n := len(flavours())
	got := make([][]meeting, n)
	inWorld(t, 1, 1, func(t *testing.T, w *world) {
		var from, to []*node
		for _, f := range flavours() {
			from, to = append(from, w.behind(f)), append(to, w.behind(f))
		}
		for _, p := range slices.Concat(from, to) {
			w.reachable(p)
		}
		var meetings errgroup.Group
		for i, a := range from {
			got[i] = make([]meeting, n)
			for j, b := range to {
				id := b.host.ID()
				meetings.Go(func() error {
					got[i][j] = meet(t.Context(), a, id)
					return nil
				})
			}
		}
		_ = meetings.Wait() // they keep their errors
	})
	for i, from := range flavours() {
		for j, to := range flavours() {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				m := got[i][j]
				t.Logf("%s: a connection after %v, a direct one after %v", m.verdict, m.connected, m.direct)
				if m.verdict != want[i][j] {
					t.Errorf("%s, want %s: %v", m.verdict, want[i][j], m.err)
				}
				if p := possible(from, to); p != want[i][j] {
					t.Errorf("%s is possible, want %s", p, want[i][j])
				}
			})
		}
	}
}
