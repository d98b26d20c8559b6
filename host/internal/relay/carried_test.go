package relay

import (
	"testing"

	pb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
)

// A relay counts what it carries, and for how many; when it ends, it carries nothing, and what
// ends later counts no more. A refusal for another reason than want of room does not count.
func TestCarried(t *testing.T) {
	r := New(Config{})
	if got := r.Carried(); got != (Carried{}) {
		t.Errorf("without a service: %+v", got)
	}
	c := &carrying{of: r}
	r.carrying.Store(c)
	c.ReservationAllowed(false)
	c.ReservationAllowed(false)
	c.ReservationAllowed(true)
	c.ReservationClosed(1)
	c.ConnectionOpened()
	c.BytesTransferred(100)
	c.ReservationRequestHandled(pb.Status_RESERVATION_REFUSED)
	c.ConnectionRequestHandled(pb.Status_RESOURCE_LIMIT_EXCEEDED)
	c.ConnectionRequestHandled(pb.Status_NO_RESERVATION)
	c.ConnectionRequestHandled(pb.Status_OK)
	if got := r.Carried(); got != (Carried{1, 1, 100, 2}) {
		t.Errorf("%+v, want 1 reservation, 1 circuit, 100 bytes, and 2 refused", got)
	}
	r.Close()
	c.ConnectionClosed(0)
	if got := r.Carried(); got != (Carried{0, 0, 100, 2}) {
		t.Errorf("closed: %+v", got)
	}
}
