package deliver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A node is a Sender in a scripted network.
type node struct {
	*Sender
	net    *calltest.Network
	group  *tasks.Group
	table  *table.Table
	lookup *lookup.Engine
}

// newNode returns a node with the peers 1 to count in its table.
func newNode(t *testing.T, count int) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: newGroup(t)}
	h := n.net.Host()
	n.table = table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: 20, ProbeAfter: time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	caller := call.New(call.Config{
		Host: h, Transport: n.net, Table: n.table, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	})
	n.lookup = lookup.NewEngine(lookup.Config{Host: h, Table: n.table, Call: caller, Tasks: n.group, K: 20, Alpha: 10, SlowAfter: time.Second})
	n.Sender = New(Config{Table: n.table, Call: caller, Tasks: n.group, K: 20, Alpha: 10})
	var ids []peer.ID
	for i := range count {
		ids = append(ids, calltest.ID(i+1))
	}
	for _, id := range ids {
		n.net.Add(id, calltest.Knows(20, ids...))
		if _, err := caller.Request(t.Context(), nil, calltest.Contact(id), protocol.FindNode{Target: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	n.net.Asked()
	return n
}

var (
	put = protocol.PutValue{Record: protocol.Record{Key: []byte("key"), Value: []byte("1")}}
	add = protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: calltest.ID(0)}}}
)

// silentTo answers like a, except requests that store something.
func silentTo(a calltest.Answer) calltest.Answer {
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		switch req.(type) {
		case protocol.PutValue, protocol.AddProvider:
			return calltest.Silent(ctx, req)
		default:
			return a(ctx, req)
		}
	}
}

// A delivery returns when its quorum has stored the record: the one that was asked for, or
// three quarters of k, after which the others have as long as answers take. The rest goes
// on, and Wait waits for it.
func TestToClosest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent int // receivers
		quorum int
		stored int           // at least, when it returns
		within time.Duration // it returns
	}{
		{"all are well", 0, 0, 20, 300 * time.Millisecond},
		{"some are silent", 3, 0, 17, 2 * time.Second},
		{"quorum of 1", 3, 1, 1, 300 * time.Millisecond},
		{"too many are silent", 10, 0, 10, 11 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 30)
				var ids []peer.ID
				for i := range 30 {
					ids = append(ids, calltest.ID(i+1))
				}
				all := contacts(30)
				routing.SortByDistance(routing.KeyOf([]byte("key")), all)
				for _, c := range all[:tt.silent] {
					n.net.Add(c.ID, silentTo(calltest.Knows(20, ids...)))
				}
				var receipt Receipt
				var err error
				spent := took(func() {
					receipt, err = n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), put, tt.quorum, nil)
				})
				if err != nil || len(receipt.Stored) < tt.stored || spent > tt.within {
					t.Errorf("stored by %d of %d after %v, %v; want %d within %v", len(receipt.Stored), receipt.Wanted, spent, err, tt.stored, tt.within)
				}
				receipt, err = receipt.Wait(t.Context())
				if err != nil || len(receipt.Stored) != receipt.Wanted-tt.silent || len(receipt.Failed) != tt.silent {
					t.Errorf("in the end stored by %d of %d, %d failed, %v", len(receipt.Stored), receipt.Wanted, len(receipt.Failed), err)
				}
			})
		})
	}
}

// A delivery that is given up before its quorum ends at once, with the cause, and one that
// is past it goes on.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		errEnough := errors.New("enough")
		for i := range 3 {
			n.net.Add(calltest.ID(i+1), calltest.After(2*time.Second, calltest.Names()))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errEnough) })
		var receipt Receipt
		spent := took(func() { receipt = n.ToThese(ctx, contacts(3), put, 1) })
		if spent != time.Second || len(receipt.Failed) != 3 || !errors.Is(receipt.Failed[calltest.ID(1)], errEnough) {
			t.Errorf("receipt %+v after %v, want three failures with the cause", receipt, spent)
		}
		n.net.Add(calltest.ID(1), calltest.Names())
		ctx, cancel = context.WithCancelCause(t.Context())
		if spent := took(func() { receipt = n.ToThese(ctx, contacts(3), put, 1) }); spent != calltest.RoundTrip {
			t.Errorf("a delivery with a quorum of 1 took %v, want a round trip", spent)
		}
		cancel(errEnough)
		if receipt, err := receipt.Wait(t.Context()); err != nil || len(receipt.Stored) != 3 {
			t.Errorf("receipt %+v, %v; want all three", receipt, err)
		}
	})
}

// A delivery of a node that is closed meanwhile ends with ErrClosed.
func TestClosedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		for i := range 3 {
			n.net.Add(calltest.ID(i+1), calltest.Silent)
		}
		time.AfterFunc(time.Second, n.group.Cancel)
		receipt := n.ToThese(t.Context(), contacts(3), put, 0)
		if len(receipt.Failed) != 3 || !errors.Is(receipt.Failed[calltest.ID(1)], kaderr.ErrClosed) {
			t.Errorf("receipt %+v, want ErrClosed", receipt)
		}
	})
}

// A peer that resets an announcement without a reason is asked for what it has stored.
func TestReadBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reason error
		stored bool
		asked  bool
		want   error
	}{
		{"stored", network.ErrReset, true, true, nil},
		{"not stored", network.ErrReset, false, true, kaderr.ErrRefused},
		{"with a reason", nil, true, false, kaderr.ErrRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 1)
				id := calltest.ID(1)
				n.net.Add(id, func(_ context.Context, req protocol.Request) (protocol.Response, error) {
					if _, ok := req.(protocol.AddProvider); ok {
						if tt.reason != nil {
							return protocol.Response{}, fmt.Errorf("%w: %w", kaderr.ErrRefused, tt.reason)
						}
						return protocol.Response{}, kaderr.ErrBusy
					}
					if tt.stored {
						return protocol.Response{Providers: add.Providers}, nil
					}
					return protocol.Response{}, nil
				})
				if err := n.One(t.Context(), nil, calltest.Contact(id), add); !errors.Is(err, tt.want) {
					t.Errorf("One() = %v, want %v", err, tt.want)
				}
				if asked := len(n.net.Asked()) > 1; asked != tt.asked {
					t.Errorf("asked for it: %v, want %v", asked, tt.asked)
				}
			})
		})
	}
}
