package sim

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := numbers(100)
	tests := []struct {
		give []int
		q    float64
		want int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.01, 7},
		{[]int{7}, 0.99, 7},
		{[]int{1, 2}, 0.5, 1},
		{[]int{1, 2, 3}, 0.5, 2},
		{hundred, 0.5, 49},
		{hundred, 0.99, 98},
		{hundred, 1, 99},
		{hundred, 0, 0},
	}
	for _, tt := range tests {
		if got := percentile(tt.give, tt.q); got != tt.want {
			t.Errorf("percentile(%d numbers, %v) = %d, want %d", len(tt.give), tt.q, got, tt.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	var m Metrics
	m.add([]Report{
		{Took: 2 * time.Second, Tally: Tally{Requests: 30, Dials: 4, Failed: 2}, Hops: 3, Accuracy: 1, Reached: true, Filled: 1},
		{Took: time.Second, Tally: Tally{Requests: 20}, Hops: 2, Accuracy: 0.5},
	})
	m.add([]Report{{Took: 4 * time.Second, Tally: Tally{Requests: 40, Dials: 2, Failed: 1}, Hops: 1, Reached: true, Filled: 0.5}})
	m.finish()
	if got, want := m.Time(0.5), 2*time.Second; got != want {
		t.Errorf("median %v, want %v", got, want)
	}
	for what, pair := range map[string][2]float64{
		"requests": {m.MeanRequests(), 30},
		"dials":    {m.Dials, 2},
		"failed":   {m.Failed, 1},
		"hops":     {m.Hops, 2},
		"accuracy": {m.Accuracy, 0.5},
		"exact":    {m.Exact, 1. / 3},
		"reached":  {m.Reached, 2. / 3},
		"filled":   {m.Filled, 0.5},
		"rate":     {m.Rate, (1 + 0.25) / 2},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
}

// Accuracy is the share of what is wanted that was got, whatever else was.
func TestShareOf(t *testing.T) {
	tests := []struct {
		wanted, got []int
		want        float64
	}{
		{nil, nil, 1},
		{[]int{1, 2, 3, 4}, nil, 0},
		{[]int{1, 2, 3, 4}, []int{9, 4, 1}, 0.5},
		{[]int{1, 2}, []int{2, 1, 2}, 1},
	}
	for _, tt := range tests {
		if got := shareOf(tt.wanted, tt.got); got != tt.want {
			t.Errorf("shareOf(%v, %v) = %v, want %v", tt.wanted, tt.got, got, tt.want)
		}
	}
}

// Every target counts, and none that is zero does.
func TestWantMet(t *testing.T) {
	m := &Metrics{
		Took: []time.Duration{time.Second}, Requests: []int{30},
		Accuracy: 0.9, Reached: 0.9, Filled: 0.9, Rate: 9,
	}
	tests := []struct {
		want Want
		met  bool
	}{
		{Want{}, true},
		{Want{Median: time.Second, P99: time.Second, Requests: 30, Accuracy: 0.9, Reached: 0.9, Filled: 0.9, Rate: 9}, true},
		{Want{Median: ms(999)}, false},
		{Want{P99: ms(999)}, false},
		{Want{Requests: 29.9}, false},
		{Want{Accuracy: 0.91}, false},
		{Want{Reached: 0.91}, false},
		{Want{Filled: 0.91}, false},
		{Want{Rate: 9.1}, false},
	}
	for _, tt := range tests {
		if got := tt.want.Met(m); got != tt.met {
			t.Errorf("%+v: met is %v", tt.want, got)
		}
	}
}
