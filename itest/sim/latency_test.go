package sim

import (
	"math"
	"slices"
	"testing"
	"time"
)

// distribution draws from many links.
func distribution(l Latency) (sorted []time.Duration, mean time.Duration) {
	const n = 20_000
	rng := newRNG(1)
	var sum time.Duration
	for range n {
		d := l(Link{Draw: rng.Uint64(), FromDraw: rng.Uint64(), ToDraw: rng.Uint64()})
		sorted = append(sorted, d)
		sum += d
	}
	slices.Sort(sorted)
	return sorted, sum / n
}

// The distributions are what they are called: checked at their quantiles, give
// or take 3 %.
func TestLatencies(t *testing.T) {
	matrix := [][]time.Duration{{ms(10), ms(80)}, {ms(90), ms(20)}}
	tests := []struct {
		name                   string
		give                   Latency
		q01, median, q99, mean time.Duration
	}{
		{"fixed", Fixed(ms(30)), ms(30), ms(30), ms(30), ms(30)},
		{"uniform", Uniform(ms(25), ms(75)), ms(25) + ms(1)/2, ms(50), ms(74) + ms(1)/2, ms(50)},
		{"log-normal", LogNormal(ms(40), 0.5), logNormal(-2.326), ms(40), logNormal(2.326), time.Duration(float64(ms(40)) * math.Exp(0.125))},
		{"matrix", Matrix(matrix), ms(10), ms(80), ms(90), ms(50)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sorted, mean := distribution(tt.give)
			for what, pair := range map[string][2]time.Duration{
				"1 %":    {percentile(sorted, 0.01), tt.q01},
				"median": {percentile(sorted, 0.5), tt.median},
				"99 %":   {percentile(sorted, 0.99), tt.q99},
				"mean":   {mean, tt.mean},
			} {
				got, want := pair[0], pair[1]
				// The median of the matrix lies between two of its values.
				if tt.name == "matrix" && what == "median" && got == ms(20) {
					continue
				}
				if math.Abs(float64(got-want)) > 0.03*float64(want) {
					t.Errorf("%s is %v, want %v", what, got, want)
				}
			}
		})
	}
}

// logNormal is so many deviations from the median of the log-normal above.
func logNormal(deviations float64) time.Duration {
	return time.Duration(float64(ms(40)) * math.Exp(0.5*deviations))
}

// A matrix is of regions of nodes, so that a link has one latency in each
// direction, and it must be square.
func TestMatrix(t *testing.T) {
	l := Matrix([][]time.Duration{{1, 2}, {3, 4}})
	for from := range uint64(4) {
		for to := range uint64(4) {
			want := time.Duration(1 + 2*(from%2) + to%2)
			if got := l(Link{FromDraw: from, ToDraw: to}); got != want {
				t.Errorf("from region %d to %d: %v, want %v", from%2, to%2, got, want)
			}
		}
	}
	for _, ways := range [][][]time.Duration{nil, {{1, 2}}, {{1, 2}, {3}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Matrix(%v) does not panic", ways)
				}
			}()
			Matrix(ways)
		}()
	}
}

// The standard network has a mean round trip of 100 ms before jitter, of up to
// 10 ms in each direction, and links that stay as they are.
func TestStandardLatency(t *testing.T) {
	pop := NewPopulation(100, seeded(t, 1))
	w := NewWorld(pop, Scenario{}, 1)
	plain := NewWorld(pop, Scenario{Jitter: -1}, 1)
	var sum time.Duration
	for range 10_000 {
		to := way{w.rng.IntN(100), w.rng.IntN(100)}
		jittered, _ := w.delay(to)
		base, _ := plain.delay(to)
		if jitter := jittered - base; jitter < 0 || jitter >= ms(10) {
			t.Fatalf("jitter of %v", jitter)
		}
		if again, _ := plain.delay(to); base != again || base < ms(25) || base >= ms(75) {
			t.Fatalf("a link takes %v, then %v", base, again)
		}
		back, _ := plain.delay(way{to.to, to.from})
		sum += base + back
	}
	if mean := sum / 10_000; mean < ms(98) || mean > ms(102) {
		t.Errorf("a round trip takes %v", mean)
	}
}

// What is lost is sent again after 200 ms, 400 ms, and so on.
func TestLoss(t *testing.T) {
	w := NewWorld(NewPopulation(10, 1), Scenario{Latency: Fixed(ms(50)), Jitter: -1, Loss: 0.3}, seeded(t, 1))
	counts := make(map[time.Duration]int)
	const n = 20_000
	for range n {
		delay, ok := w.delay(way{0, 1})
		if !ok {
			delay = -1
		}
		counts[delay]++
	}
	share := 0.7
	for _, delay := range []time.Duration{ms(50), ms(250), ms(650), ms(1450)} {
		if got := float64(counts[delay]) / n; math.Abs(got-share) > 0.02 {
			t.Errorf("%.3f of all arrive after %v, want %.3f", got, delay, share)
		}
		share *= 0.3
	}
	if counts[-1] == 0 || counts[-1] > 50 {
		t.Errorf("%d of %d are lost for ever, want 0.3^6", counts[-1], n)
	}
}

// Sessions have the mean and the median that they are given.
func TestSpans(t *testing.T) {
	tests := []struct {
		name   string
		give   Span
		median time.Duration
	}{
		{"exponential", Exponential(time.Hour), ms(2_495_330)},
		{"Weibull", Weibull(time.Hour, 0.5), ms(1_729_630)},
	}
	for _, tt := range tests {
		sorted, _ := distribution(func(l Link) time.Duration { return tt.give(l.Draw) })
		if got := percentile(sorted, 0.5); math.Abs(float64(got-tt.median)) > 0.05*float64(tt.median) {
			t.Errorf("%s: median %v, want %v", tt.name, got, tt.median)
		}
	}
}
