package routing

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRTT(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name          string
		memory        int
		samples       []time.Duration
		mean, timeout time.Duration
	}{
		{"nothing seen", 0, nil, 0, 0},
		{"the first", 0, []time.Duration{100 * ms}, 100 * ms, 300 * ms},                    // 100 + 4·50
		{"the second", 0, []time.Duration{100 * ms, 180 * ms}, 110 * ms, 340 * ms},         // off by 80: 100 + 80/8, 50 + 30/4
		{"quicker", 0, []time.Duration{100 * ms, 60 * ms}, 95 * ms, 285 * ms},              // 100 - 40/8, 50 - 10/4
		{"little memory", 1, []time.Duration{100 * ms, 180 * ms}, 180 * ms, 500 * ms},      // nothing but the last
		{"much memory", 80, []time.Duration{100 * ms, 180 * ms}, 101 * ms, 304 * ms},       // 100 + 80/80, 50 + 30/40
		{"a small variation", 0, []time.Duration{ms}, ms, 51 * ms},                         //
		{"above the ceiling", 0, []time.Duration{time.Minute}, time.Minute, 10000 * ms},    //
		{"below zero", 0, []time.Duration{-time.Second}, 0, 50 * ms},                       //
		{"a negative memory", -1, []time.Duration{100 * ms, 180 * ms}, 110 * ms, 340 * ms}, //
	} {
		r := RTT{Memory: tt.memory}
		for _, s := range tt.samples {
			r.Observe(s)
		}
		if r.Mean() != tt.mean || r.Timeout(0.05) != tt.timeout {
			t.Errorf("%s: mean %v, timeout %v, want %v and %v", tt.name, r.Mean(), r.Timeout(0.05), tt.mean, tt.timeout)
		}
	}
}

// The more fail, the less is expected of all.
func TestRTTByFailures(t *testing.T) {
	var r RTT
	r.Observe(100 * time.Millisecond)
	for _, tt := range []struct {
		failing float64
		want    time.Duration
	}{
		{0, 400 * time.Millisecond},
		{0.02, 300 * time.Millisecond},
		{0.1, 300 * time.Millisecond},
		{0.11, 250 * time.Millisecond},
		{1, 250 * time.Millisecond},
	} {
		if got := r.Timeout(tt.failing); got != tt.want {
			t.Errorf("with %v of the requests failing, it is %v, want %v", tt.failing, got, tt.want)
		}
	}
}

// What has long been the same is expected to be: the timeout approaches it, but for the least margin.
func TestRTTConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := RTT{Memory: rapid.IntRange(0, 20).Draw(t, "memory")}
		for _, before := range rapid.SliceOfN(rapid.IntRange(0, 10_000), 0, 5).Draw(t, "before") {
			r.Observe(time.Duration(before) * time.Millisecond)
		}
		const steady = 400 * time.Millisecond
		for range 400 {
			r.Observe(steady)
		}
		if off := r.Timeout(0.05) - leastMargin - steady; off < -time.Microsecond || off > time.Microsecond {
			t.Errorf("timeout is %v after many answers in %v", r.Timeout(0.05), steady)
		}
	})
}

// One estimate of a whole network is late for few of those it has not met.
func TestRTTOfStrangers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := RTT{Memory: 64}
	late := 0
	const peers = 10_000
	for range peers {
		took := time.Duration(50+rng.IntN(50)+rng.IntN(50)+rng.IntN(20)) * time.Millisecond
		if r.Timeout(0.05) > 0 && took > r.Timeout(0.05) {
			late++
		}
		r.Observe(took)
	}
	if late > peers/200 {
		t.Errorf("%d of %d are late", late, peers)
	}
	if r.Timeout(0.05) > 220*time.Millisecond {
		t.Errorf("timeout is %v", r.Timeout(0.05))
	}
	t.Logf("%d of %d are late, the timeout is %v", late, peers, r.Timeout(0.05))
}
