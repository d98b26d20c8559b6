package sim

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
	c := Calibration{Said: []Said{{AtLeast: 0.9}, {AtLeast: 0.95}, {AtLeast: 0.99}}, Lookups: lookups}
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
