package network_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	lnetwork "github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/itest/internal/race"
)

// An ailment is what is wrong with some nodes of a network, in which lookups are compared
// with what they say.
type ailment struct {
	name  string
	share float64 // of the nodes that are picked
	begin func(n *kadtest.Network, picked []*kadtest.Node)
	each  func(n *kadtest.Network, cfg kad.Config) // before each lookup
}

// ailments returns what is tried. While nodes are replaced, a session lasts 18 minutes on
// average, and a lookup begins 10 s after the newcomer came.
func ailments() []ailment {
	pause := func(*kadtest.Network, kad.Config) { time.Sleep(time.Second) }
	return []ailment{
		{"well", 0, func(*kadtest.Network, []*kadtest.Node) {}, pause},
		{"a quarter silent", 0.25, func(n *kadtest.Network, picked []*kadtest.Node) { n.Silence(picked...) }, pause},
		{"a quarter resets streams", 0.25, func(_ *kadtest.Network, picked []*kadtest.Node) {
			for _, d := range picked {
				d.Host.SetStreamHandler("/test/kad/1.0.0", func(s lnetwork.Stream) { _ = s.Reset() })
			}
		}, pause},
		{"a quarter dead", 0.25, func(n *kadtest.Network, picked []*kadtest.Node) {
			n.Unplug(picked...)
			n.Kill(picked...)
		}, pause},
		{"churn", 0, func(*kadtest.Network, []*kadtest.Node) {}, func(n *kadtest.Network, cfg kad.Config) {
			n.Add(1, with(cfg))
			n.Kill(n.Pick(1)...)
			time.Sleep(10 * time.Second)
		}},
	}
}

// A verdict counts the lookups that state at least a confidence, and how many are right.
type verdict struct {
	least         float64
	stated, right int
}

// judged returns the verdicts of so many lookups, and how many of all are right.
func (a ailment) judged(t *testing.T, k, lookups int) (verdicts []verdict, right int) {
	const nodes = 110
	verdicts = []verdict{{least: 0.9}, {least: 0.95}, {least: 0.99}}
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: uint64(k), Latency: link})
		cfg := kad.Config{K: k}
		joined(n, nodes, cfg)
		ailing := n.Pick(int(a.share * nodes))
		a.begin(n, ailing)
		for i := range lookups {
			a.each(n, cfg)
			d := n.Pick(1, ailing...)[0]
			ok, confidence := isRight(t, n, d, fmt.Sprint("key ", i), k, ailing)
			if ok {
				right++
			} else if confidence >= 0.9 {
				t.Logf("wrong: key %d, confidence %.4f", i, confidence)
			}
			for j := range verdicts {
				if v := &verdicts[j]; confidence >= v.least {
					v.stated++
					if ok {
						v.right++
					}
				}
			}
		}
	})
	return verdicts, right
}

// isRight looks a key up, and reports whether all of the k closest that answer are found, and
// the confidence of the lookup.
func isRight(t *testing.T, n *kadtest.Network, d *kadtest.Node, key string, k int, ailing []*kadtest.Node) (right bool, confidence float64) {
	t.Helper()
	ctx, trace := kad.WithTrace(t.Context())
	found, err := d.DHT.ClosestPeers(ctx, []byte(key))
	if err != nil && !errors.Is(err, kad.ErrUnanswered) { // that is a statement too, and its confidence is to be as low
		t.Fatal(err)
	}
	missed := ids(n.Closest(key, k, append(slices.Clone(ailing), d)...))
	for _, p := range found {
		if i := slices.Index(missed, p.ID); i >= 0 {
			missed = slices.Delete(missed, i, i+1)
		}
	}
	return len(missed) == 0, trace.Stats().Confidence
}

// Of the lookups of whole nodes that state a confidence of p or more, p or more are right:
// they find all of the k closest that answer. A confidence that cannot be had is 0.
//
// With KAD_CALIBRATE, the number of lookups, it tries everything, and writes RESULTS.md.
func TestConfidenceIsTrue(t *testing.T) {
	if race.Enabled {
		t.Skip("it takes minutes with the race detector")
	}
	lookups, whole := 60, false
	if s := os.Getenv("KAD_CALIBRATE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("KAD_CALIBRATE: %v", err)
		}
		lookups, whole = n, true
	}
	table := []string{
		"| network | k | lookups | right | ≥ 0.9 | ≥ 0.95 | ≥ 0.99 |",
		"|---|---|---|---|---|---|---|",
	}
	for i, a := range ailments() {
		for j, k := range []int{20, 8, 4} {
			if !whole && (a.name == "well" || i%3 != j) {
				continue
			}
			t.Run(fmt.Sprintf("%s, k = %d", a.name, k), func(t *testing.T) {
				verdicts, right := a.judged(t, k, lookups)
				row := fmt.Sprintf("| %s | %d | %d | %.3f |", a.name, k, lookups, float64(right)/float64(lookups))
				for _, v := range verdicts {
					row += fmt.Sprintf(" %d of %d |", v.right, v.stated)
					n := float64(v.stated)
					if wrong := float64(v.stated - v.right); wrong > n*(1-v.least)+2*math.Sqrt(n*v.least*(1-v.least)) {
						t.Errorf("of %d lookups that state %v, %d are right", v.stated, v.least, v.right)
					}
				}
				t.Log(row)
				table = append(table, row)
			})
		}
	}
	if whole {
		writeResults(t, table)
	}
}

// writeResults writes the table of calibration.
func writeResults(t *testing.T, table []string) {
	t.Helper()
	text := "# What lookups of whole nodes say, and how often they are right\n\n" +
		"Written by `make calibrate`. Networks of 110 nodes of `host/kadtest`, in virtual time. Right is the\n" +
		"share of the lookups that find all of the k closest nodes that answer; then, of the lookups that\n" +
		"state at least that confidence, how many are right. In `churn`, a node is replaced every 10 s.\n\n" +
		strings.Join(table, "\n") + "\n"
	if err := os.WriteFile("RESULTS.md", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
