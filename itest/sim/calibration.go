package sim

import (
	"fmt"
	"time"

	"github.com/go-kad/kad/routing"
)

// A Network is one in which lookups are compared with what they say.
type Network struct {
	Name     string
	Nodes    int
	Make     func(seed uint64) *Population
	Scenario Scenario
}

// Networks returns random, aged and grown networks, in which nodes are dead or silent.
func Networks() []Network {
	var all []Network
	add := func(name string, nodes, k int, s Scenario, how func(n int, seed uint64) *Population) {
		s.Lookup, s.Table = routing.LookupConfig{K: k}, routing.TableConfig{K: k}
		name = fmt.Sprintf("%s, k = %d, %.0f %% dead, %.0f %% silent", name, k, 100*s.Dead, 100*s.Silent)
		all = append(all, Network{name, nodes, func(seed uint64) *Population { return how(nodes, seed) }, s})
	}
	for _, nodes := range []int{400, 1000, 10_000} {
		for _, dead := range []float64{0, 0.1, 0.2, 0.25, 0.4} {
			add("random", nodes, 20, Scenario{Dead: dead}, NewPopulation)
			add("aged", nodes, 20, Scenario{Dead: dead}, Aged)
		}
		for _, k := range []int{4, 8} {
			add("random", nodes, k, Scenario{Dead: 0.25}, NewPopulation)
			add("aged", nodes, k, Scenario{Dead: 0.25}, Aged)
		}
		add("aged", nodes, 20, Scenario{Silent: 0.25}, Aged)
	}
	how := Past{Growth: 24 * time.Hour, Churn: 24 * time.Hour, Session: Weibull(12*time.Hour, 0.6)}
	grown := func(n int, seed uint64) *Population { return Grown(n, seed, how) }
	for _, dead := range []float64{0, 0.25, 0.4} {
		add("grown", 400, 20, Scenario{Dead: dead}, grown)
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
