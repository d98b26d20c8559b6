package sim

import (
	"fmt"
	"time"

	"github.com/go-kad/kad/routing"
)

// A Network is one in which lookups are compared with what they say.
type Network struct {
	Kind     string // one of Kinds
	Tables   string // whose tables the nodes have: one of Kinds
	Name     string
	Nodes    int
	K        int
	Make     func(seed uint64) *Population
	Scenario Scenario
}

// Kinds returns the kinds of networks. In random ones, tables hold nodes at random; in aged
// ones, the oldest. Churning ones have grown for a day, and then each node that left was
// replaced by a new one for another; tables name some that have just left. Dying ones have
// lost two fifths of their nodes within an hour after that. In silent ones, whose tables are
// one of these, a quarter of the nodes does not answer.
func Kinds() []string { return []string{"random", "aged", "churning", "dying", "silent"} }

// Networks returns networks of all kinds, with other shares of dead nodes.
func Networks() []Network {
	churning := Past{Growth: 24 * time.Hour, Churn: 24 * time.Hour, Session: Weibull(12*time.Hour, 0.6)}
	dying := churning
	dying.Decline, dying.Lost = time.Hour, 0.4
	var all []Network
	add := func(kind string, nodes, k int, s Scenario) {
		s.Lookup, s.Table = routing.LookupConfig{K: k}, routing.TableConfig{K: k}
		name := fmt.Sprintf("%s, k = %d, %.0f %% dead", kind, k, 100*s.Dead)
		n := Network{Kind: kind, Tables: kind, Nodes: nodes, K: k, Scenario: s}
		if s.Silent > 0 {
			n.Kind = "silent"
			name = fmt.Sprintf("%s, k = %d, %.0f %% silent", kind, k, 100*s.Silent)
		}
		n.Name = name
		n.Make = func(seed uint64) *Population {
			switch how := map[string]Past{"churning": churning, "dying": dying}[kind]; kind {
			case "random":
				return NewPopulation(nodes, seed)
			case "aged":
				return Aged(nodes, seed)
			default:
				how.K = k
				return Grown(nodes, seed, how)
			}
		}
		all = append(all, n)
	}
	for _, nodes := range []int{400, 1000, 10_000} {
		for _, kind := range []string{"random", "aged"} {
			for _, dead := range []float64{0, 0.1, 0.2, 0.25, 0.4} {
				add(kind, nodes, 20, Scenario{Dead: dead})
			}
			add(kind, nodes, 4, Scenario{Dead: 0.25})
			add(kind, nodes, 8, Scenario{Dead: 0.25})
		}
		add("aged", nodes, 20, Scenario{Silent: 0.25})
	}
	for _, k := range []int{4, 8, 20} {
		for _, dead := range []float64{0, 0.25, 0.4} {
			add("churning", 1000, k, Scenario{Dead: dead})
		}
		add("dying", 1000, k, Scenario{})
		add("churning", 1000, k, Scenario{Silent: 0.25})
		if k < 20 {
			add("aged", 1000, k, Scenario{Silent: 0.25})
		}
	}
	return all
}

// levels are the confidences that are looked at.
func levels() []float64 { return []float64{0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99} }

// A Calibration compares what lookups say with how often they are right.
type Calibration struct {
	Said     []Said
	Lookups  int
	Right    int     // lookups that found all of the k closest nodes that answer
	Accuracy float64 // on average
	Requests float64 // on average
}

// Said counts the lookups that state a confidence of at least AtLeast.
type Said struct {
	AtLeast        float64
	Lookups, Right int
}

// Share returns the share of them that are right; 1 if there are none.
func (s Said) Share() float64 {
	if s.Lookups == 0 {
		return 1
	}
	return float64(s.Right) / float64(s.Lookups)
}

// Calibrate makes so many lookups of random keys, each in a world of its own.
func Calibrate(pop *Population, s Scenario, lookups int) Calibration {
	c := Calibration{Lookups: lookups}
	for _, level := range levels() {
		c.Said = append(c.Said, Said{AtLeast: level})
	}
	row := Row{Scenario: s}
	for run := range lookups {
		w := row.World(pop, run)
		r := w.Lookup(w.Anybody(), w.AnyPreimage())
		c.Accuracy += r.Accuracy / float64(lookups)
		c.Requests += float64(r.Requests) / float64(lookups)
		right := 0
		if r.Accuracy == 1 {
			right = 1
		}
		c.Right += right
		for i := range c.Said {
			if said := &c.Said[i]; r.Confidence >= said.AtLeast {
				said.Lookups++
				said.Right += right
			}
		}
	}
	return c
}
