package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
)

// A put with a quorum returns when that is reached; the rest goes on without the
// caller, and its receipt can be awaited.
func TestPutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d, puppets := crowd(t, n, 4)
		for i, p := range puppets {
			p.will(func(s network.Stream, req protocol.Request) {
				if _, ok := req.(protocol.PutValue); ok {
					time.Sleep(time.Duration(i) * time.Second)
					if i == 3 {
						resets(s, req)
						return
					}
				}
				gives("1")(s, req)
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var receipt Receipt
		var err error
		waited := roomtest.Took(func() { receipt, err = d.Put(ctx, "/v/key", []byte("1"), Quorum(2)) })
		cancel()
		if err != nil || len(receipt.Stored) != 2 || receipt.Wanted != 4 || waited > 1500*time.Millisecond {
			t.Fatalf("Put() = %+v, %v after %v; want it stored by 2 after a second", receipt, err, waited)
		}
		impatient, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if early, err := receipt.Wait(impatient); !errors.Is(err, context.DeadlineExceeded) || len(early.Stored) != 2 {
			t.Errorf("Wait() with less time = %+v, %v", early, err)
		}
		all, err := receipt.Wait(t.Context())
		if err != nil || len(all.Stored) != 3 || len(all.Failed) != 1 {
			t.Errorf("Wait() = %+v, %v; want it stored by 3, refused by 1", all, err)
		}
		if again, err := all.Wait(t.Context()); err != nil || len(again.Stored) != 3 {
			t.Errorf("Wait() again = %+v, %v", again, err)
		}
		receipt, err = d.Put(t.Context(), "/v/key", []byte("1"), Quorum(4))
		var failed *PutError
		if !errors.As(err, &failed) || len(receipt.Stored) != 3 {
			t.Errorf("Put() with a quorum that is not reached = %+v, %v", receipt, err)
		}
	})
}
