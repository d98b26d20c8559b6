//go:build linux

package nat

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A pair is a dialer and who is dialled.
type pair struct{ a, b Flavour }

// samplePairs are those that every run tries: one of each way to get there.
func samplePairs() []pair {
	return []pair{{Cone, Cone}, {Symmetric, Cone}, {NoUDP, Cone}, {AddressFiltered, Cone}}
}

// allPairs are all that there are.
func allPairs() (pairs []pair) {
	for _, a := range Flavours() {
		for _, b := range Flavours() {
			pairs = append(pairs, pair{a, b})
		}
	}
	return pairs
}

// A meeting is how long it took A and B to meet, from the start of both.
type meeting struct {
	via    string
	first  time.Duration // until there was a connection
	direct time.Duration // until there was a direct one, 0 if there was none
	call   time.Duration // the call of Connect that succeeded, alone
	steps  []step
}

// Two nodes behind a NAT each find and reach each other, with nothing to know but
// an address of a plain node: directly if the two NATs can be traversed, or else
// through a relay, which nobody has told them of.
func TestPairs(t *testing.T) {
	pairs, deadline := samplePairs(), 15*time.Second
	if os.Getenv("KAD_NAT_RESULTS") != "" {
		pairs, deadline = allPairs(), directWait // in which even the slowest is there
	}
	var mu sync.Mutex
	met := make(map[pair]meeting)
	t.Cleanup(func() {
		if !t.Skipped() && len(met) > 0 {
			record(1, "Pairs", describePairs(met, deadline))
		}
	})
	for _, p := range pairs {
		t.Run(fmt.Sprintf("%s-%s", p.a, p.b), func(t *testing.T) {
			t.Parallel()
			m := meet(t, newWorld(t, 1, p.a, p.b), deadline)
			t.Logf("%v: %s", m, describeSteps(m.steps))
			if direct := m.direct > 0; direct != Direct(p.a, p.b) {
				t.Errorf("connected %s, want a direct connection: %v; steps: %+v", m.via, Direct(p.a, p.b), m.steps)
			}
			mu.Lock()
			defer mu.Unlock()
			met[p] = m
		})
	}
}

// meet starts A and B at the same time, and has A connect to B until it is.
func meet(t *testing.T, w *world, deadline time.Duration) (m meeting) {
	t.Helper()
	var a, b *node
	begun := time.Now()
	a, b = w.begin(t, 0), w.begin(t, 1)
	for {
		called := time.Now()
		c, err := a.connect(t.Context(), b.ID, deadline)
		m.call = time.Since(called)
		if err == nil {
			m.via, m.steps = c.Via, c.Steps
			m.first = called.Sub(begun) + c.first(m.call)
			if c.Via != "relayed" {
				m.direct = time.Since(begun)
			}
			return m
		}
		if time.Since(begun) > worst {
			t.Fatalf("no connection after %v: %v", worst, err)
		}
		time.Sleep(100 * time.Millisecond) // B is not announced yet, and A does not hear when it is
	}
}

// first returns when there was a connection: before the last step, if that was to
// wait for a direct one instead of a relayed one.
func (c connection) first(took time.Duration) time.Duration {
	for _, s := range c.Steps {
		if s.Name == "punch" {
			took -= time.Duration(s.Took * float64(time.Millisecond))
		}
	}
	return took
}

// describePairs returns the table of results.
func describePairs(met map[pair]meeting, deadline time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `A (row) connects to B (column), each behind a NAT of its own, both started at the same time with the address
of one plain node. A cell has how they are connected, when there was a connection and when a direct one, counted
from the start of the processes, and in parentheses how long the call of Connect took that succeeded. It waits %v
for a direct connection. **Bold** is what differs from what the two NATs allow.

| A \ B |`, deadline)
	for _, f := range Flavours() {
		fmt.Fprintf(&b, " %s |", f)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(Flavours())) + "\n")
	for _, from := range Flavours() {
		fmt.Fprintf(&b, "| %s |", from)
		for _, to := range Flavours() {
			m, ok := met[pair{from, to}]
			switch {
			case !ok:
				b.WriteString(" |")
			case (m.direct > 0) != Direct(from, to):
				fmt.Fprintf(&b, " **%s** |", m)
			default:
				fmt.Fprintf(&b, " %s |", m)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe steps of the call that succeeded:\n\n| A | B | steps |\n|---|---|---|\n")
	for _, p := range allPairs() {
		if m, ok := met[p]; ok {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", p.a, p.b, describeSteps(m.steps))
		}
	}
	return b.String()
}

func (m meeting) String() string {
	s := fmt.Sprintf("%s %s", m.via, seconds(m.first))
	if m.direct > 0 {
		s += " " + seconds(m.direct)
	}
	return fmt.Sprintf("%s (%s)", s, seconds(m.call))
}

// seconds writes a duration for a table.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// describeSteps writes steps for a table.
func describeSteps(steps []step) string {
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = fmt.Sprintf("%s %.0f ms", s.Name, s.Took)
		if s.Error != "" {
			texts[i] += " (failed)"
		}
	}
	return strings.Join(texts, ", ")
}
