package host

import (
	"testing"
	"time"
)

// By default a relay carries no more than its documentation says; a field that is set
// stays.
func TestRelayDefaults(t *testing.T) {
	l := RelayLimits{}.withDefaults()
	if n := l.Reservations * l.Circuits; n != 512 || int64(n)*l.Bytes != 8<<30 || l.Duration != time.Hour {
		t.Errorf("%d relayed connections of %d bytes in %v", n, l.Bytes, l.Duration)
	}
	if l := (RelayLimits{Circuits: 9}).withDefaults(); l.Circuits != 9 {
		t.Errorf("%d circuits, want 9", l.Circuits)
	}
}
