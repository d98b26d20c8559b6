package host

import "testing"

// By default, a relay carries no more than its documentation says.
func TestRelayDefaults(t *testing.T) {
	l := RelayLimits{}.withDefaults()
	r := l.resources()
	if n := r.MaxReservations * r.MaxCircuits; n != 512 || int64(n)*r.Limit.Data != 8<<30 || r.Limit.Duration != l.Duration {
		t.Errorf("%d relayed connections of %d bytes in %v", n, r.Limit.Data, r.Limit.Duration)
	}
	if l := (RelayLimits{Circuits: 9}).withDefaults(); l.Circuits != 9 {
		t.Errorf("%d circuits, want 9", l.Circuits)
	}
}
