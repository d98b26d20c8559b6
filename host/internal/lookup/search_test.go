package lookup

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const testK = 8

// A node is an engine in a scripted network.
type node struct {
	*Engine
	net   *calltest.Network
	group *tasks.Group
	table *table.Table
	call  *call.Caller
}

// newNode returns a node with the peers 1 to count in its table, which are connected and
// name no other peer.
func newNode(t *testing.T, count int) *node {
	t.Helper()
	return newNodeThatDials(t, count, 64)
}

// newNodeThatDials is newNode with so many dials in flight at a time.
func newNodeThatDials(t *testing.T, count, maxDials int) *node {
	t.Helper()
	n := &node{net: calltest.New(t), group: roomtest.NewGroup(t)}
	h := n.net.Host()
	n.table = table.New(table.Config{
		Host: h, Protocol: "/test", Tasks: n.group, K: testK, ProbeAfter: time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	n.call = call.New(call.Config{
		Host: h, Transport: n.net, Table: n.table, Tasks: n.group,
		RequestTimeout: 10 * time.Second, SlowAfter: time.Second, MaxDials: maxDials,
	})
	n.Engine = NewEngine(Config{Host: h, Table: n.table, Call: n.call, Tasks: n.group, K: testK, Alpha: 10, SlowAfter: time.Second})
	for i := range count {
		n.admit(t, calltest.ID(i+1), calltest.Names())
	}
	return n
}

// admit puts a peer into the table, and has it answer.
func (n *node) admit(t *testing.T, id peer.ID, a calltest.Answer) {
	t.Helper()
	n.net.Add(id, calltest.Names())
	if _, err := n.call.Request(t.Context(), nil, calltest.Contact(id), protocol.FindNode{Target: []byte("x")}, nil); err != nil {
		t.Fatal(err)
	}
	n.net.Add(id, a)
	n.net.Asked()
}

// newNetwork returns a node among 60 peers that know each other, and their IDs. The table
// has as many of them as it has room for.
func newNetwork(t *testing.T) (*node, []peer.ID) {
	t.Helper()
	return newNetworkThatDials(t, 64)
}

// newNetworkThatDials is newNetwork with so many dials in flight at a time.
func newNetworkThatDials(t *testing.T, maxDials int) (*node, []peer.ID) {
	t.Helper()
	n := newNodeThatDials(t, 0, maxDials)
	var ids []peer.ID
	for i := range 60 {
		ids = append(ids, calltest.ID(i+1))
	}
	for _, id := range ids {
		n.admit(t, id, calltest.Knows(testK, ids...))
	}
	return n, ids
}

// nearest returns the testK peers of ids that are closest to a preimage.
func nearest(preimage string, ids []peer.ID) []peer.ID {
	var all []routing.Contact
	for _, id := range ids {
		all = append(all, routing.ContactOf(id))
	}
	routing.SortByDistance(routing.KeyOf([]byte(preimage)), all)
	return peersOf(all[:min(testK, len(all))])
}

// find looks a preimage up, and returns how long that takes.
func (n *node) find(t *testing.T, preimage string) (r Result, spent time.Duration) {
	t.Helper()
	spent = roomtest.Took(func() {
		var err error
		if r, err = n.Find(t.Context(), []byte(preimage), Plan{}); err != nil {
			t.Error(err)
		}
	})
	return r, spent
}

func (n *node) expected(id peer.ID) routing.Contact {
	c := []routing.Contact{routing.ContactOf(id)}
	n.table.Expect(c)
	return c[0]
}

// A lookup finds the k closest peers, with one path and with several.
func TestFind(t *testing.T) {
	for _, paths := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			n, ids := newNetwork(t)
			r, err := n.Find(t.Context(), []byte("key"), Plan{Paths: paths})
			if err != nil || !Converged(r) || !slices.Equal(peersOf(r.Closest), nearest("key", ids)) {
				t.Errorf("%d paths: found %v, %v; want %v", paths, peersOf(r.Closest), err, nearest("key", ids))
			}
		})
	}
}

// A lookup that is stopped dials no further peer.
func TestStopLeavesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodeThatDials(t, 1, 1)
		var others []peer.ID
		for i := range testK {
			others = append(others, calltest.ID(i+2))
			n.net.Add(calltest.ID(i+2), calltest.Names())
		}
		n.net.Add(calltest.ID(1), calltest.Names(others...))
		s, err := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
		if err != nil {
			t.Fatal(err)
		}
		s.Heard = func(from routing.Contact, _ protocol.Response) {
			if from.ID != calltest.ID(1) {
				s.Lookup().Stop()
			}
		}
		r, err := s.Run(t.Context())
		time.Sleep(call.StragglerTime)
		if dials := len(n.net.Dialled()) - 1; err != nil || r.End != routing.Stopped || dials > 3 {
			t.Errorf("%d of %d peers were dialled, though the first one that answered ended the lookup: %v", dials, testK, err)
		}
	})
}

// A lookup does not wait for a peer that is late, and is not the worse for it later: the
// late answer keeps the peer out of doubt, and shows how long it takes.
func TestLateAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 5)
		late := calltest.ID(1)
		n.net.Add(late, calltest.After(700*time.Millisecond, calltest.Names()))
		if r, spent := n.find(t, "key"); len(r.Closest) != 4 || spent > 200*time.Millisecond {
			t.Errorf("%d peers in %v, want the 4 that are quick, without waiting", len(r.Closest), spent)
		}
		before := n.expected(late)
		time.Sleep(call.StragglerTime)
		after := n.expected(late)
		if after.Doubtful || after.Expect <= before.Expect || after.RoundTrip < 50*time.Millisecond {
			t.Errorf("after its late answer %+v, before %+v", after, before)
		}
	})
}

// A peer that has not answered StragglerTime after the end of its lookup is in doubt.
func TestStragglersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 5)
		n.net.Add(calltest.ID(1), calltest.Silent)
		n.find(t, "key")
		for _, want := range []bool{false, true} {
			if got := n.expected(calltest.ID(1)).Doubtful; got != want {
				t.Errorf("in doubt: %v, want %v", got, want)
			}
			time.Sleep(call.StragglerTime)
			synctest.Wait()
		}
	})
}

// A silent peer costs a lookup what is expected of it, and not SlowAfter. It is never in a
// result. When it answers again, it is in the next one: a peer in doubt is asked.
func TestSilentPeer(t *testing.T) {
	for name, contacts := range map[string]int{"contact": 5, "named by others": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, contacts)
				hung := calltest.ID(5)
				for i := 1; i < contacts && contacts < 5; i++ {
					n.net.Add(calltest.ID(i), calltest.Names(hung))
				}
				n.net.Add(hung, calltest.Silent)
				n.net.Connect(hung)
				for range 6 {
					r, spent := n.find(t, "key")
					if spent > 200*time.Millisecond || slices.Contains(peersOf(r.Closest), hung) || len(r.Closest) != min(4, contacts) {
						t.Errorf("found %d in %v; want the peers that answer", len(r.Closest), spent)
					}
					time.Sleep(2 * time.Second)
				}
				n.net.Add(hung, calltest.Names())
				if r, _ := n.find(t, "key"); !slices.Contains(peersOf(r.Closest), hung) {
					t.Error("it answers, and is not in the result")
				}
			})
		})
	}
}

// The events of a lookup have all of it: each peer is heard of, asked, and then has answered
// or failed, in this order.
func TestQueryEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		near, far, broken := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		n.net.Add(near, calltest.Names(far, broken))
		n.net.Add(far, calltest.Names())
		ctx, cancel := context.WithCancel(t.Context())
		ctx, events := lrouting.RegisterForQueryEvents(ctx)
		var run []string
		heard := []peer.ID{near} // from the table
		name := map[peer.ID]string{near: "near", far: "far", broken: "broken"}
		var reading sync.WaitGroup
		reading.Go(func() {
			for e := range events {
				switch e.Type {
				case lrouting.SendingQuery:
					run = append(run, "ask "+name[e.ID])
					if !slices.Contains(heard, e.ID) {
						t.Errorf("%s was asked before it was heard of", name[e.ID])
					}
				case lrouting.PeerResponse:
					run = append(run, name[e.ID]+" answers")
					for _, p := range e.Responses {
						heard = append(heard, p.ID)
						if len(p.Addrs) == 0 {
							t.Error("a peer without its address")
						}
					}
				case lrouting.QueryError:
					run = append(run, name[e.ID]+" fails")
					if e.Extra == "" {
						t.Error("a failure without a reason")
					}
				}
			}
		})
		if _, err := n.Find(ctx, []byte("key"), Plan{}); err != nil {
			t.Fatal(err)
		}
		cancel()
		reading.Wait()
		slices.Sort(run)
		want := []string{"ask broken", "ask far", "ask near", "broken fails", "far answers", "near answers"}
		if !slices.Equal(run, want) {
			t.Errorf("events %q, want %q", run, want)
		}
	})
}

// No event is published for an operation that has returned: its listener may not read.
func TestEventsAfterReturn(t *testing.T) {
	ctx, events := lrouting.RegisterForQueryEvents(t.Context())
	waiting, over := context.WithCancel(ctx)
	PublishEvent(WhileWaiting(context.WithoutCancel(ctx), waiting), &lrouting.QueryEvent{})
	over()
	PublishEvent(WhileWaiting(context.WithoutCancel(ctx), waiting), &lrouting.QueryEvent{})
	if len(events) != 1 {
		t.Errorf("%d events, want the one from before the return", len(events))
	}
}

// A result and a trace say what became of the requests.
func TestOutcomesOfResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		var others []peer.ID
		for i, a := range []calltest.Answer{calltest.Names(), calltest.Refuses, calltest.Fails(syscall.EMFILE), calltest.Fails(errors.New("broken"))} {
			others = append(others, calltest.ID(i+2))
			n.net.Add(calltest.ID(i+2), a)
		}
		n.net.Add(calltest.ID(1), calltest.Names(others...))
		ctx, trace := WithTrace(t.Context())
		r, err := n.Find(ctx, []byte("key"), Plan{})
		if err != nil || r.Requests != 5 || len(r.Answered) != 2 || r.Failed != 3 || r.Refused != 1 || r.Unasked != 1 {
			t.Errorf("result %+v, %v; want 5 requests, of which 2 answered, 1 refused, 1 could not be made", r, err)
		}
		var few *UnansweredError
		if err := r.Enough(); !errors.As(err, &few) || *few != (UnansweredError{Closest: 5, Answered: 2, Asked: 5, Refused: 1, Failed: 1, Unasked: 1}) {
			t.Errorf("Enough() = %v, %+v", err, few)
		}
		if ends := n.Ends(); ends.Hops != uint64(r.Hops) || ends.Confidence != r.Confidence {
			t.Errorf("Ends() = %+v of one lookup, want %d hops and %v", ends, r.Hops, r.Confidence)
		}
		got := trace.Stats()
		got.Confidence = 0
		if want := (Stats{Lookups: 1, Requests: 5, Answered: 2, Refused: 1, Unasked: 1, Hops: 2}); got != want {
			t.Errorf("Stats() = %+v, want %+v", got, want)
		}
	})
}

// The confidence of several lookups is the least of them.
func TestConfidenceOfTrace(t *testing.T) {
	for _, confidences := range [][]float64{{0.5, 0.9}, {0.9, 0.5}} {
		_, trace := WithTrace(t.Context())
		for _, c := range confidences {
			trace.begin()(Result{Result: routing.Result{Confidence: c}})
		}
		if got := trace.Stats().Confidence; got != 0.5 {
			t.Errorf("the confidence of lookups with %v is %v", confidences, got)
		}
	}
}

// A liar that makes up peers without an address, this node, and the same peer again and
// again, gets none of them asked.
func TestLiesAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		far := calltest.ID(2)
		n.net.Add(far, calltest.Names())
		closer := []protocol.Peer{{ID: calltest.ID(0), Addrs: []multiaddr.Multiaddr{calltest.Addr(calltest.ID(0))}}}
		for i := range 10 {
			closer = append(closer,
				protocol.Peer{ID: far, Addrs: []multiaddr.Multiaddr{calltest.Addr(far)}}, protocol.Peer{ID: calltest.ID(100 + i)})
		}
		n.net.Add(calltest.ID(1), func(context.Context, protocol.Request) (protocol.Response, error) {
			return protocol.Response{Closer: closer}, nil
		})
		if r, _ := n.find(t, "key"); r.Requests != 2 {
			t.Errorf("%d requests, want 2: the liar and the one peer that there is", r.Requests)
		}
	})
}

// A lookup that refreshes a bucket asks a few peers, and is not remembered as one that has found
// the k closest.
func TestRefreshAsksFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := newNetwork(t)
		n.net.Asked()
		if err := n.Refresh(t.Context(), []byte("key"), Plan{K: routing.RefreshK}); err != nil {
			t.Fatal(err)
		}
		if asked := len(n.net.Asked()); asked < routing.RefreshK || asked >= testK {
			t.Errorf("%d peers were asked, want %d and a few more", asked, routing.RefreshK)
		}
		if known, _, _ := n.recall.near(routing.KeyOf([]byte("key"))); known != nil {
			t.Errorf("remembered %v", peersOf(known))
		}
	})
}

// A lookup fails at once where there is nothing to ask, and with ErrClosed when the node is
// closed.
func TestFindFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0)
		if err := n.Refresh(t.Context(), []byte("key"), Plan{}); !errors.Is(err, kaderr.ErrNoContacts) {
			t.Errorf("Refresh() = %v without contacts, want ErrNoContacts", err)
		}
		n.admit(t, calltest.ID(1), calltest.Silent)
		time.AfterFunc(50*time.Millisecond, n.group.Cancel)
		ctx, end, err := n.group.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		if r, err := n.Find(ctx, []byte("key"), Plan{}); !errors.Is(err, kaderr.ErrClosed) || Converged(r) {
			t.Errorf("Find() = %v when closed, want ErrClosed; it has converged: %v", err, Converged(r))
		}
	})
}

// The reader of the answers gets the ones to the request alone, and none about another peer than
// the target.
func TestHeardOfTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 2)
		s, err := n.Prepare(t.Context(), []byte("key"), protocol.GetProviders{Key: []byte("key")}, Plan{})
		if err != nil {
			t.Fatal(err)
		}
		heard := 0
		s.Heard = func(routing.Contact, protocol.Response) { heard++ }
		s.settle(t.Context(), answer{from: calltest.Contact(calltest.ID(1)), about: calltest.ID(2)})
		if heard != 0 {
			t.Error("an answer about another peer was taken for one to the request")
		}
		s.settle(t.Context(), answer{from: calltest.Contact(calltest.ID(1))})
		if heard != 1 {
			t.Error("an answer was not heard")
		}
	})
}

// A peer that others cannot connect to is in doubt; that they are not connected to it says nothing.
func TestNamedAsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		s, err := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
		if err != nil {
			t.Fatal(err)
		}
		for connection, doubtful := range map[protocol.Connection]bool{protocol.CannotConnect: true, protocol.NotConnected: false, protocol.CanConnect: false} {
			id := calltest.ID(9)
			closer := s.closer(protocol.Response{Closer: []protocol.Peer{{ID: id, Addrs: []multiaddr.Multiaddr{calltest.Addr(id)}, Connection: connection}}})
			if len(closer) != 1 || closer[0].Doubtful != doubtful {
				t.Errorf("%v makes %+v of the peer", connection, closer)
			}
		}
	})
}

// A peer that could not be asked, or whose request was given up before it was sent, counts as
// unasked, and the lookup teaches nothing.
func TestUnasked(t *testing.T) {
	for err, want := range map[error]int{syscall.EMFILE: 1, kaderr.ErrNotSent: 1, kaderr.ErrBusy: 0, errors.New("broken"): 0} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 1)
			s, prepared := n.Prepare(t.Context(), []byte("key"), protocol.FindNode{Target: []byte("key")}, Plan{})
			if prepared != nil {
				t.Fatal(prepared)
			}
			s.settle(t.Context(), answer{from: calltest.Contact(calltest.ID(1)), err: err})
			if got := s.result().Unasked; got != want {
				t.Errorf("%v: %d could not be asked, want %d", err, got, want)
			}
		})
	}
}

// A contact that others name at other addresses too is asked there if it cannot be dialled: not if
// these are the same in another order, nor if it refuses, since it is there.
func TestNamedElsewhere(t *testing.T) {
	first, second, third := multiaddr.StringCast("/ip4/9.1.1.1/tcp/1"), multiaddr.StringCast("/ip4/9.2.1.1/tcp/1"), multiaddr.StringCast("/ip4/9.3.1.1/tcp/1")
	for name, tt := range map[string]struct {
		later  []multiaddr.Multiaddr
		answer calltest.Answer
		want   int
	}{
		"in another order":     {later: []multiaddr.Multiaddr{second, first}, want: 1},
		"elsewhere":            {later: []multiaddr.Multiaddr{third}, want: 2},
		"there, and elsewhere": {later: []multiaddr.Multiaddr{first, second, third}, want: 2},
		"where it refuses":     {later: []multiaddr.Multiaddr{third}, answer: calltest.Refuses, want: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 0)
			id := calltest.ID(500)
			names := func(addrs ...multiaddr.Multiaddr) calltest.Answer {
				return func(context.Context, protocol.Request) (protocol.Response, error) {
					return protocol.Response{Closer: []protocol.Peer{{ID: id, Addrs: addrs}}}, nil
				}
			}
			n.admit(t, calltest.ID(1), names(first, second))
			n.admit(t, calltest.ID(2), calltest.After(2*calltest.RoundTrip, names(tt.later...)))
			if tt.answer != nil {
				n.net.Add(id, tt.answer)
			}
			if r, _ := n.find(t, "key"); r.Requests-2 != tt.want {
				t.Errorf("%s: it is asked %d times, want %d", name, r.Requests-2, tt.want)
			}
		})
	}
}
