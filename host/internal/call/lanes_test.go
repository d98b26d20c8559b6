package call

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
)

// A room serves some requests at a time, and refuses others.
type room struct {
	places  int
	refusal error

	mu                      sync.Mutex
	taken, served, refusals int
}

func (r *room) answer(ctx context.Context, _ protocol.Request) (protocol.Response, error) {
	r.mu.Lock()
	if r.taken == r.places {
		r.refusals++
		r.mu.Unlock()
		return protocol.Response{}, r.refusal
	}
	r.taken++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken--
		r.served++
	}()
	return calltest.After(10*time.Millisecond, calltest.Names())(ctx, nil)
}

// A limit makes requests wait, there and here: none fails, few are refused, and the peers
// stay out of doubt.
func TestLimitsMakeWait(t *testing.T) {
	for _, test := range []struct {
		name  string
		peers int
		room  *room
		most  int // refusals
	}{
		{"32 streams of one peer", 1, &room{places: 32, refusal: kaderr.ErrBusy}, 0},
		{"4 streams of one peer", 1, &room{places: 4, refusal: kaderr.ErrBusy}, 100},
		{"1 stream of one peer", 1, &room{places: 1, refusal: kaderr.ErrBusy}, 200},
		{"6 streams here", 20, &room{places: 6, refusal: fmt.Errorf("cannot reserve stream: %w", network.ErrResourceLimitExceeded)}, 600},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{MaxDials: -1})
				for i := range test.peers {
					c.net.Add(calltest.ID(10+i), test.room.answer)
				}
				var all errgroup.Group
				for i := range 1000 {
					all.Go(func() error {
						turn := NewTurn()
						defer turn.Leave()
						_, err := c.Request(t.Context(), turn, calltest.Contact(calltest.ID(10+i%test.peers)), protocol.Ping{}, nil)
						return err
					})
				}
				if err := all.Wait(); err != nil {
					t.Error(err)
				}
				if test.room.served != 1000 || test.room.refusals > test.most {
					t.Errorf("served %d, refused %d; want 1000, and at most %d", test.room.served, test.room.refusals, test.most)
				}
				for i := range test.peers {
					if c.doubts(calltest.ID(10 + i)) {
						t.Errorf("peer %d is in doubt", i)
					}
				}
				if len(c.lanes.peers) > 0 || c.lanes.all.underWay > 0 {
					t.Errorf("lanes are left: %v, %d under way", c.lanes.peers, c.lanes.all.underWay)
				}
			})
		})
	}
}

// A wait for room here is not the silence of the peer, however long it takes, nor a part of the
// time that its answer has.
func TestWaitForOwnRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{RequestTimeout: 5 * time.Second})
		var mu sync.Mutex
		underWay := 0
		const peers, places = 20, 4
		for i := range peers {
			c.net.Add(calltest.ID(10+i), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				mu.Lock()
				if underWay == places {
					mu.Unlock()
					return protocol.Response{}, network.ErrResourceLimitExceeded
				}
				underWay++
				mu.Unlock()
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					underWay--
				}()
				return calltest.After(3*time.Second, calltest.Names())(ctx, req)
			})
			c.net.Connect(calltest.ID(10 + i))
		}
		var all errgroup.Group
		for i := range 3 * peers {
			all.Go(func() error {
				turn := NewTurn()
				defer turn.Leave()
				_, err := c.Request(t.Context(), turn, calltest.Contact(calltest.ID(10+i%peers)), protocol.Ping{}, nil)
				return err
			})
		}
		if err := all.Wait(); err != nil {
			t.Error(err)
		}
		for i := range peers {
			id := calltest.ID(10 + i)
			if c.doubts(id) {
				t.Errorf("peer %d is in doubt", i)
			}
			if rtt := c.net.Host().Peerstore().LatencyEWMA(id); rtt > 4*time.Second {
				t.Errorf("the round trip of peer %d takes %v", i, rtt)
			}
		}
	})
}

// A peer that is always busy is given up after RequestTimeout, and so is a node that
// always lacks something; neither is held against the peer.
func TestNoRoomIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		err  error
		want table.Outcome
	}{
		{kaderr.ErrBusy, table.Refused},
		{network.ErrResourceLimitExceeded, table.OwnFailure},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCaller(t, Config{RequestTimeout: 5 * time.Second})
			c.net.Add(calltest.ID(asked), calltest.Fails(test.err))
			start := time.Now()
			_, err := c.ask(t.Context(), asked)
			took := time.Since(start)
			if OutcomeOf(err) != test.want || took < 5*time.Second || took > 6500*time.Millisecond {
				t.Errorf("%v after %v, want outcome %d after 5 to 6.5 s", err, took, test.want)
			}
			if c.doubts(calltest.ID(asked)) {
				t.Error("the peer is in doubt")
			}
		})
	}
}

// A request that waits in a lane is queued for its lookup, and leaves the lane with its
// context or its turn.
func TestLaneIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		c.net.Add(calltest.ID(asked), calltest.Silent)
		if err := c.Connect(t.Context(), calltest.ID(asked)); err != nil {
			t.Fatal(err)
		}
		var silent errgroup.Group
		for range laneMost {
			silent.Go(func() error {
				_, err := c.ask(t.Context(), asked)
				return err
			})
		}
		synctest.Wait()
		turn := NewTurn()
		ctx, cancel := context.WithCancel(t.Context())
		stages := make(chan Stage, 10)
		var waiting errgroup.Group
		for i, end := range []struct {
			ctx  context.Context
			turn *Turn
		}{{t.Context(), turn}, {ctx, nil}} {
			waiting.Go(func() error {
				_, err := c.Request(end.ctx, end.turn, calltest.Contact(calltest.ID(asked)), protocol.Ping{}, func(s Stage) { stages <- s })
				if OutcomeOf(err) != table.Unsent {
					t.Errorf("request %d: %v, want unsent", i, err)
				}
				return nil
			})
		}
		synctest.Wait()
		if len(stages) != 2 || <-stages != Queued || <-stages != Queued {
			t.Error("both requests are to be queued")
		}
		turn.Leave()
		cancel()
		_ = waiting.Wait()
		if err := silent.Wait(); OutcomeOf(err) != table.Silent {
			t.Errorf("%v, want silent", err)
		}
	})
}

// A request whose old connection turns out to be dead is asked again over a new one, once.
func TestOldConnectionIsReplaced(t *testing.T) {
	for _, ended := range []error{
		fmt.Errorf("%w: connection closed", network.ErrReset), swarm.ErrConnClosed,
		fmt.Errorf("failed to open stream: %w", &quic.IdleTimeoutError{}), &quic.StatelessResetError{}, &quic.TransportError{},
		fmt.Errorf("%w: %w", errConnEnded, &network.StreamError{Remote: true}), fmt.Errorf("%w: %w", errConnEnded, errors.New("connection failed")),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCaller(t, Config{})
			asks, dead := 0, 1
			c.net.Add(calltest.ID(asked), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				if asks++; asks <= dead {
					return protocol.Response{}, ended
				}
				return calltest.Names()(ctx, req)
			})
			if err := c.Connect(t.Context(), calltest.ID(asked)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ask(t.Context(), asked); err != nil || asks != 2 || c.doubts(calltest.ID(asked)) {
				t.Errorf("%v: %v after %d requests", ended, err, asks)
			}
			asks, dead = 0, 10
			if _, err := c.ask(t.Context(), asked); OutcomeOf(err) != table.Silent || asks != 2 {
				t.Errorf("%v: %v after %d requests, want silent after 2", ended, err, asks)
			}
		})
	}
}
