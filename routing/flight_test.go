package routing

import (
	"testing"
	"time"
)

// A doubtful contact has a tenth of SlowAfter, or twice its round trip if that is longer, and
// no more than is expected of it.
func TestPatience(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name              string
		doubtful          bool
		roundTrip, expect time.Duration
		want              time.Duration
	}{
		{"unknown", false, 0, 0, 1000 * ms},
		{"expected", false, 100 * ms, 150 * ms, 150 * ms},
		{"slow", false, 2000 * ms, 3000 * ms, 1000 * ms},
		{"doubtful", true, 0, 0, 100 * ms},
		{"doubtful, of strangers", true, 0, 400 * ms, 100 * ms},
		{"doubtful and quick", true, 10 * ms, 15 * ms, 15 * ms},
		{"doubtful and far", true, 100 * ms, 300 * ms, 200 * ms},
		{"doubtful and even", true, 100 * ms, 130 * ms, 130 * ms},
		{"doubtful and slow", true, 2000 * ms, 3000 * ms, 1000 * ms},
	} {
		l := &Lookup{cfg: LookupConfig{SlowAfter: time.Second}}
		c := &candidate{Contact: Contact{RoundTrip: tt.roundTrip, Expect: tt.expect}}
		if got := l.patience(c, tt.doubtful); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
