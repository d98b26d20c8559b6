package simnat

import (
	"fmt"
	"testing"
	"time"
)

// waitForDirect is longer than the three attempts of a hole punch take.
const waitForDirect = 40 * time.Second

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
	for i, from := range flavours() {
		for j, to := range flavours() {
			if p := possible(from, to); p != want[i][j] {
				t.Errorf("%s to %s: %s is possible, want %s", from, to, p, want[i][j])
			}
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				inWorld(t, uint64(4*i+j), 6, 1, func(t *testing.T, w *world) {
					start := time.Now()
					a, b := w.behind(from), w.behind(to)
					w.reachable(a)
					w.reachable(b)
					cold := time.Since(start)
					m := meet(t.Context(), a, b.host.ID(), waitForDirect)
					t.Logf("a relay after %v, a connection after %v more, a direct one after %v", cold, m.connected, m.direct)
					if m.verdict != want[i][j] {
						t.Errorf("%s, want %s: %v", m.verdict, want[i][j], m.err)
					}
				})
			})
		}
	}
}
