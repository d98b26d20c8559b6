package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/roomtest"
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
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
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
				spent := roomtest.Took(func() {
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

// In a network of fewer than k peers, a write does not wait for a late peer, and sends the
// record to it all the same. The receipt counts it among the peers that should have it.
func TestToLate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer calltest.Answer
		stored int // in the end
	}{
		{"slow", calltest.After(3*time.Second, calltest.Names()), 3},
		{"silent", calltest.Silent, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 3)
				n.net.Add(calltest.ID(2), tt.answer)
				var receipt Receipt
				var err error
				spent := roomtest.Took(func() {
					receipt, err = n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), put, 0, nil)
				})
				if err != nil || spent > 2500*time.Millisecond || len(receipt.Stored) != 2 || receipt.Wanted != 3 {
					t.Errorf("stored by %d of %d after %v, %v; want 2 of 3 within 2.5s", len(receipt.Stored), receipt.Wanted, spent, err)
				}
				receipt, err = receipt.Wait(t.Context())
				if err != nil || len(receipt.Stored) != tt.stored || len(receipt.Stored)+len(receipt.Failed) != 3 {
					t.Errorf("in the end %+v, %v; want %d of 3", receipt, err, tt.stored)
				}
			})
		})
	}
}

// A write that all peers refuse waits for one that is late: it may be the only one that stores it.
func TestToLateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		all := calltest.Knows(20, calltest.ID(1), calltest.ID(2), calltest.ID(3))
		refuses := func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if _, ok := req.(protocol.PutValue); ok {
				return calltest.Refuses(ctx, req)
			}
			return all(ctx, req)
		}
		n.net.Add(calltest.ID(1), refuses)
		n.net.Add(calltest.ID(2), calltest.After(4*time.Second, all))
		n.net.Add(calltest.ID(3), refuses)
		receipt, err := n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), put, 0, nil)
		if err != nil || len(receipt.Stored) != 1 || len(receipt.Failed) != 2 {
			t.Errorf("stored by %v, failed %v, %v; want the late one", receipt.Stored, receipt.Failed, err)
		}
	})
}

// A receipt counts the contacts among the peers that should have the record, up to k.
func TestWanted(t *testing.T) {
	for contactsOf, want := range map[int]int{1: 2, 3: 4, 19: 20, 25: 20} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, contactsOf)
			n.net.Add(calltest.ID(100), calltest.Names()) // enters the table by its answer
			to := []routing.Contact{calltest.Contact(calltest.ID(1)), calltest.Contact(calltest.ID(100))}
			one := n.ToThese(t.Context(), to, put, 0)
			for _, r := range append(n.NewBulk().Deliver(t.Context(), []*Parcel{{Req: put, To: to}}), one) {
				if r.Wanted != want || len(r.Stored) != 2 {
					t.Errorf("%d contacts: stored by %d of %d, want 2 of %d", contactsOf, len(r.Stored), r.Wanted, want)
				}
			}
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
		spent := roomtest.Took(func() { receipt = n.ToThese(ctx, contacts(3), put, 1) })
		if spent != time.Second || len(receipt.Failed) != 3 || !errors.Is(receipt.Failed[calltest.ID(1)], errEnough) {
			t.Errorf("receipt %+v after %v, want three failures with the cause", receipt, spent)
		}
		n.net.Add(calltest.ID(1), calltest.Names())
		ctx, cancel = context.WithCancelCause(t.Context())
		if spent := roomtest.Took(func() { receipt = n.ToThese(ctx, contacts(3), put, 1) }); spent != calltest.RoundTrip {
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
		stored []protocol.Peer
		asked  bool
		want   error
	}{
		{"stored", network.ErrReset, add.Providers, true, nil},
		{"not stored", network.ErrReset, nil, true, kaderr.ErrRefused},
		{"others stored", network.ErrReset, []protocol.Peer{{ID: calltest.ID(77)}}, true, kaderr.ErrRefused},
		{"with a reason", nil, add.Providers, false, kaderr.ErrRefused},
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
						return protocol.Response{}, kaderr.OfStream(&network.StreamError{ErrorCode: kaderr.CodeOf(kaderr.ErrInvalidRecord), Remote: true})
					}
					return protocol.Response{Providers: tt.stored}, nil
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

// known looks the key up, so that a put of it is spared its lookup for a minute, and returns
// all peers, the closest first.
func (n *node) known(t *testing.T, count int) []routing.Contact {
	t.Helper()
	if _, err := n.lookup.Closest(0)(t.Context(), []byte("key"), nil); err != nil {
		t.Fatal(err)
	}
	n.net.Asked()
	all := contacts(count)
	routing.SortByDistance(routing.KeyOf([]byte("key")), all)
	return all
}

// A put right after a lookup of its key needs no other one. If some of the peers have gone
// silent meanwhile, it does not wait for them, and the next closest store the record.
func TestPutOfRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 60)
		all := n.known(t, 60)
		if receipt, err := n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), put, 0, nil); err != nil || len(receipt.Stored) != 20 {
			t.Errorf("receipt %+v, %v; want the 20 closest", receipt, err)
		}
		if asked := len(n.net.Asked()); asked != 20 {
			t.Errorf("%d requests, want 20", asked)
		}
		var ids []peer.ID
		for _, c := range slices.Concat(all[:3], all[13:]) {
			ids = append(ids, c.ID)
		}
		for _, c := range all {
			n.net.Add(c.ID, calltest.Knows(20, ids...)) // the others know by now
		}
		for _, c := range all[3:13] {
			n.net.Add(c.ID, calltest.Silent)
		}
		var receipt Receipt
		var err error
		spent := roomtest.Took(func() {
			receipt, err = n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), put, 8, nil)
		})
		if err != nil || spent > time.Second {
			t.Errorf("a put with a quorum of 8 took %v, %v, though 10 of 20 are well", spent, err)
		}
		if receipt, err = receipt.Wait(t.Context()); err != nil || len(receipt.Stored) < 20 {
			t.Errorf("stored by %d, %v; want 20 others", len(receipt.Stored), err)
		}
	})
}

// An announcement does not wait for a peer that does not acknowledge it.
func TestAnnounceToSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 60)
		n.net.Add(n.known(t, 60)[7].ID, calltest.Silent)
		if spent := roomtest.Took(func() {
			if _, err := n.ToClosest(t.Context(), n.lookup.Closest(0), []byte("key"), add, 0, nil); err != nil {
				t.Error(err)
			}
		}); spent > time.Second {
			t.Errorf("it took %v to announce beside one silent peer", spent)
		}
	})
}

// A put sends to peers that are certain to be among the closest while its lookup goes on.
// When it has returned at its quorum, it fills its trace further, and waits for no reader of
// its events.
func TestPutAfterItsQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 100)
		for i := range 10 { // until the size of the network is known
			if _, err := n.lookup.Find(t.Context(), []byte{byte(i)}, lookup.Plan{}); err != nil {
				t.Fatal(err)
			}
		}
		early := 0
		for i := range 10 {
			time.Sleep(time.Second)
			n.net.Asked()
			ctx, trace := lookup.WithTrace(t.Context())
			ctx, events := lrouting.RegisterForQueryEvents(ctx)
			returned := make(chan struct{})
			go func() {
				for {
					select {
					case <-events:
					case <-returned:
						return
					}
				}
			}()
			key := []byte(fmt.Sprint("key", i))
			req := protocol.PutValue{Record: protocol.Record{Key: key, Value: []byte("1")}}
			receipt, err := n.ToClosest(ctx, n.lookup.Closest(0), key, req, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			close(returned)
			wait, cancel := context.WithTimeout(t.Context(), time.Minute)
			if receipt, err = receipt.Wait(wait); err != nil || len(receipt.Stored) < 20 {
				t.Errorf("put %d: stored by %d after a minute, %v", i, len(receipt.Stored), err)
			}
			cancel()
			if trace.Stats().Answered < 20 {
				t.Errorf("put %d: the trace has %+v", i, trace.Stats())
			}
			asked := n.net.Asked()
			firstPut := slices.IndexFunc(asked, func(a calltest.Asked) bool { _, ok := a.Req.(protocol.PutValue); return ok })
			if slices.ContainsFunc(asked[firstPut:], func(a calltest.Asked) bool { _, ok := a.Req.(protocol.FindNode); return ok }) {
				early++
			}
		}
		if early < 3 {
			t.Errorf("%d of 10 puts began while the lookup asked others, want 3", early)
		}
	})
}

// An announcement whose proof an earlier version does not read is sent to it without: to be
// held, and not passed on. One of another peer is not.
func TestLargeProof(t *testing.T) { synctest.Test(t, testLargeProof) }

func testLargeProof(t *testing.T) {
	n := newNode(t, 2)
	earlier := func(_ context.Context, req protocol.Request) (protocol.Response, error) {
		if add, ok := req.(protocol.AddProvider); ok && len(add.Proof) > protocol.MaxFirstProof {
			return protocol.Response{}, kaderr.ErrRefused
		}
		return protocol.Response{}, nil
	}
	n.net.Add(calltest.ID(1), earlier)
	n.net.Add(calltest.ID(2), calltest.Refuses)
	large := add
	large.Proof = make([]byte, protocol.MaxFirstProof+1)
	others := large
	others.Providers = []protocol.Peer{{ID: calltest.ID(3)}}
	small := add
	small.Proof = make([]byte, protocol.MaxFirstProof)
	for _, tt := range []struct {
		name   string
		to     int
		req    protocol.AddProvider
		asked  int
		stored bool
	}{
		{"large, to an earlier version", 1, large, 2, true},
		{"of another peer", 1, others, 1, false},
		{"small", 1, small, 1, true},
		{"large, to one that refuses for another reason", 2, large, 2, false},
		{"small, to one that refuses", 2, small, 1, false},
	} {
		n.net.Asked()
		err := n.One(t.Context(), nil, calltest.Contact(calltest.ID(tt.to)), tt.req)
		asked := n.net.Asked()
		if (err == nil) != tt.stored || len(asked) != tt.asked {
			t.Errorf("%s: %v after %d requests", tt.name, err, len(asked))
		}
	}
}
