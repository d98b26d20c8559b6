package call

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A caller is a Caller of a test, in a scripted network, with one contact in its table.
type caller struct {
	*Caller
	net   *calltest.Network
	group *tasks.Group
	table *table.Table
}

const (
	friend = 1 // the number of the contact that is in the table
	asked  = 2 // the number of the peer that is asked
)

func newCaller(t *testing.T, cfg Config) *caller {
	t.Helper()
	n := calltest.New(t)
	c := &caller{net: n, group: roomtest.NewGroup(t)}
	c.table = table.New(table.Config{
		Host: n.Host(), Protocol: "/test", Tasks: c.group, K: 20, ProbeAfter: time.Hour, MaxPerGroup: -1,
		SlowAfter: time.Second, Wake: func() {},
	})
	cfg.Host, cfg.Transport, cfg.Table, cfg.Tasks, cfg.SlowAfter = n.Host(), n, c.table, c.group, time.Second
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 10 * time.Second
	}
	if cfg.MaxDials == 0 {
		cfg.MaxDials = 64
	}
	c.Caller = New(cfg)
	n.Add(calltest.ID(friend), calltest.Names())
	if _, err := c.ask(t.Context(), friend); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *caller) ask(ctx context.Context, i int) (protocol.Response, error) {
	return c.Request(ctx, nil, calltest.Contact(calltest.ID(i)), protocol.FindNode{Target: []byte("x")}, nil)
}

// doubts reports whether a peer is in doubt.
func (c *caller) doubts(id peer.ID) bool {
	contacts := []routing.Contact{routing.ContactOf(id)}
	c.table.Expect(contacts)
	return contacts[0].Doubtful
}

// errNoRoute is the error of a dial of a machine whose network is gone.
var errNoRoute = &swarm.DialError{DialErrors: []swarm.TransportError{
	{Cause: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}},
	{Cause: swarm.ErrDialRefusedBlackHole},
}}

// An outcomeCase is a request to a peer, and what is to become of it.
type outcomeCase struct {
	name    string
	arrange func(c *caller)
	wait    time.Duration // of the requester; 0: for ever
	want    table.Outcome
	in      bool // the table has it
	doubt   bool
	failed  uint64
}

func outcomeCases() []outcomeCase {
	id := calltest.ID(asked)
	serves := func(a calltest.Answer) func(*caller) { return func(c *caller) { c.net.Add(id, a) } }
	return []outcomeCase{
		{name: "answers", arrange: serves(calltest.Names()), want: table.Answered, in: true},
		{name: "refuses", arrange: serves(calltest.Refuses), want: table.Refused, failed: 1},
		{name: "says nothing", arrange: serves(calltest.Silent), want: table.Silent, doubt: true, failed: 1},
		{name: "is not there", arrange: func(*caller) {}, want: table.Silent, doubt: true, failed: 1},
		{name: "does not let itself be dialled", arrange: func(c *caller) { c.net.Hang(id) }, want: table.Silent, doubt: true, failed: 1},
		{name: "breaks the protocol", arrange: serves(calltest.Fails(protocol.ErrMalformed)), want: table.Silent, doubt: true, failed: 1},
		{name: "given up soon", arrange: serves(calltest.Silent), wait: 700 * time.Millisecond, want: table.Unsent},
		{name: "given up late", arrange: serves(calltest.Silent), wait: 800 * time.Millisecond, want: table.Late, doubt: true},
		{name: "given up while it is dialled", arrange: func(c *caller) { c.net.Hang(id) }, wait: 800 * time.Millisecond, want: table.Late, doubt: true},
		{
			name: "refuses when it is given up", wait: time.Second, want: table.Late, doubt: true,
			arrange: serves(func(ctx context.Context, _ protocol.Request) (protocol.Response, error) {
				<-ctx.Done()
				return protocol.Response{}, kaderr.OfStream(network.ErrReset) // our own reset
			}),
		},
		{
			name: "refuses when its time is over", want: table.Silent, doubt: true, failed: 1,
			arrange: serves(func(ctx context.Context, _ protocol.Request) (protocol.Response, error) {
				<-ctx.Done()
				return protocol.Response{}, kaderr.OfStream(network.ErrReset)
			}),
		},
		{
			name: "waits for its turn", wait: 5 * time.Second, want: table.Unsent,
			arrange: func(c *caller) {
				c.net.Add(id, calltest.Names())
				for i := range 64 {
					c.net.Hang(calltest.ID(100 + i))
					c.group.Go(func(ctx context.Context) { _ = c.Connect(ctx, calltest.ID(100+i)) })
				}
				synctest.Wait()
			},
		},
		{name: "no file descriptor", arrange: serves(calltest.Fails(fmt.Errorf("socket: %w", syscall.EMFILE))), want: table.OwnFailure, failed: 1},
		{
			name: "no way to any peer", want: table.OwnFailure, failed: 1,
			arrange: func(c *caller) { c.net.Add(id, calltest.Fails(errNoRoute)); time.Sleep(2 * time.Second) },
		},
		{name: "no way to this peer alone", arrange: serves(calltest.Fails(errNoRoute)), want: table.Silent, doubt: true, failed: 1},
		{
			name: "a neighbour that is gone", want: table.Silent, doubt: true, failed: 1,
			arrange: func(c *caller) {
				c.net.Add(id, calltest.After(3*time.Second, calltest.Fails(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH})))
				time.Sleep(2 * time.Second)
			},
		},
		{
			name: "no stream", want: table.OwnFailure, failed: 1,
			arrange: serves(calltest.Fails(fmt.Errorf("cannot reserve outbound stream: %w", network.ErrResourceLimitExceeded))),
		},
		{
			name: "closed host", want: table.OwnFailure, failed: 1,
			arrange: func(c *caller) { c.net.Add(id, calltest.Fails(swarm.ErrConnClosed)); c.net.CloseHost() },
		},
		{name: "closed node", arrange: func(c *caller) { c.group.Cancel() }, want: table.OwnFailure, failed: 1},
		{
			name: "closed meanwhile", want: table.OwnFailure, failed: 1,
			arrange: func(c *caller) { c.net.Add(id, calltest.Silent); time.AfterFunc(time.Second, c.group.Cancel) },
		},
	}
}

// Every request has one outcome, which its error carries, and which the table knows.
func TestOutcomes(t *testing.T) {
	id := calltest.ID(asked)
	for _, tt := range outcomeCases() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{})
				tt.arrange(c)
				ctx := t.Context()
				if tt.wait > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.wait)
					defer cancel()
				}
				_, failedBefore, _ := c.Stats()
				_, err := c.ask(ctx, asked)
				if got := OutcomeOf(err); got != tt.want {
					t.Errorf("outcome %d, want %d: %v", got, tt.want, err)
				}
				if got := OutcomeOf(fmt.Errorf("wrapped: %w", errors.Join(err))); err != nil && got != tt.want {
					t.Errorf("outcome %d when it is wrapped, want %d", got, tt.want)
				}
				if got := c.table.Has(id); got != tt.in {
					t.Errorf("in the table: %v, want %v", got, tt.in)
				}
				if got := c.doubts(id); got != tt.doubt {
					t.Errorf("in doubt: %v, want %v", got, tt.doubt)
				}
				if _, failed, _ := c.Stats(); failed-failedBefore != tt.failed {
					t.Errorf("%d failures counted, want %d", failed-failedBefore, tt.failed)
				}
			})
		})
	}
}

// Errors that no Caller has made show as much as they can.
func TestOutcomeOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want table.Outcome
	}{
		{nil, table.Answered},
		{kaderr.ErrBusy, table.Refused},
		{kaderr.ErrNotSent, table.Unsent},
		{kaderr.ErrClosed, table.OwnFailure},
		{swarm.ErrSwarmClosed, table.OwnFailure},
		{&swarm.DialError{DialErrors: []swarm.TransportError{{Cause: errors.New("refused")}, {Cause: syscall.ENOBUFS}}}, table.OwnFailure},
		{&swarm.DialError{DialErrors: []swarm.TransportError{{Cause: syscall.ECONNREFUSED}}}, table.Silent},
		{context.DeadlineExceeded, table.Silent},
	} {
		if got := OutcomeOf(tt.err); got != tt.want {
			t.Errorf("OutcomeOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

// Without a way to any peer, requests wait, count against none, and succeed when there is one
// again; the table is told why they wait.
func TestNoWayMakesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		time.Sleep(2 * time.Second)
		c.net.Add(calltest.ID(friend), calltest.Fails(errNoRoute))
		c.net.Add(calltest.ID(asked), calltest.Fails(errNoRoute))
		time.AfterFunc(6*time.Second, func() {
			c.net.Add(calltest.ID(friend), calltest.Names())
			c.net.Add(calltest.ID(asked), calltest.Names())
		})
		ended := make(chan error, 1)
		go func() {
			_, err := c.ask(t.Context(), friend)
			ended <- err
		}()
		time.Sleep(5 * time.Second)
		if why := c.table.NotReady(nil).Hindered; !c.table.Stats().Offline || !errors.Is(why, syscall.ENETUNREACH) || c.table.Stats().Suspects > 0 {
			t.Errorf("meanwhile: %+v, because of %v", c.table.Stats(), why)
		}
		_, err := c.ask(t.Context(), asked)
		if friendErr := <-ended; err != nil || friendErr != nil {
			t.Errorf("%v, %v", err, friendErr)
		}
		if s := c.table.Stats(); s.Contacts != 2 || s.Suspects > 0 || s.Offline {
			t.Errorf("after that: %+v", s)
		}
	})
}

// A dial finds no way to a peer if it says so for each address that it tried.
func TestNoWay(t *testing.T) {
	dial := func(causes ...error) error {
		e := new(swarm.DialError)
		for _, cause := range causes {
			e.DialErrors = append(e.DialErrors, swarm.TransportError{Cause: cause})
		}
		return fmt.Errorf("dial: %w", e)
	}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errNoRoute, true},
		{syscall.ENETDOWN, true},
		{dial(syscall.EADDRNOTAVAIL, syscall.EHOSTUNREACH), true},
		{dial(syscall.ENETUNREACH, syscall.ECONNREFUSED), false},
		{dial(syscall.ENETUNREACH, context.DeadlineExceeded), false},
		{dial(swarm.ErrDialRefusedBlackHole), false},
		{dial(), false},
	} {
		if got := noWay(tt.err); got != tt.want {
			t.Errorf("noWay(%v) = %v", tt.err, got)
		}
	}
}
