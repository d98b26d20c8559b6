package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/quic-go/quic-go"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// On a machine whose timers fire late, a request has more time, up to a bound; else it has
// its limit, and no more. Without requests there is no lateness.
func TestLateMachineIsPatient(t *testing.T) {
	for _, tt := range []struct {
		name       string
		late, took time.Duration
		want       table.Outcome
	}{
		{"in time", 0, 9 * time.Second, table.Answered},
		{"a late peer", 0, 11 * time.Second, table.Silent},
		{"a late machine", time.Second, 30 * time.Second, table.Answered},
		{"a late machine, and a silent peer", time.Second, 45 * time.Second, table.Silent},
		{"a machine that is late for long", 2 * time.Second, 59 * time.Second, table.Answered},
		{"a machine that is late for longer than that", 2 * time.Second, 61 * time.Second, table.Silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pulse := roomtest.NewPulse(t, tt.late)
				c := newCaller(t, Config{Pulse: pulse})
				c.net.Add(calltest.ID(asked), calltest.Names())
				if _, err := c.ask(t.Context(), asked); err != nil { // it is connected now
					t.Fatal(err)
				}
				c.net.Add(calltest.ID(asked), calltest.After(tt.took-calltest.RoundTrip, calltest.Names()))
				_, err := c.ask(t.Context(), asked)
				if got := OutcomeOf(err); got != tt.want {
					t.Errorf("%v, want %v: %v", got, tt.want, err)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error is %v", err)
				}
				if got := pulse.Lateness(); got < tt.late || got > 2*tt.late {
					t.Errorf("late by %v", got)
				}
				time.Sleep(time.Minute)
				if got := pulse.Lateness(); got > 0 {
					t.Errorf("late by %v without requests", got)
				}
			})
		})
	}
}

// latePulse returns the pulse of a machine that is late.
func latePulse(late time.Duration) *tasks.Pulse {
	p := tasks.NewPulse(func() {})
	now := time.Now()
	p.Fired(now.Add(-late), now)
	return p
}

// A machine that was late for a moment is taken for late as long as what was sent then is under
// way, however many timers fire in time after that; a minute later it is not.
func TestLatenessIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pulse := latePulse(time.Second)
		c := newCaller(t, Config{Pulse: pulse})
		c.net.Add(calltest.ID(asked), calltest.After(12*time.Second, calltest.Names()))
		inTime := time.NewTicker(50 * time.Millisecond)
		defer inTime.Stop()
		over := make(chan struct{})
		defer close(over)
		go func() {
			for {
				select {
				case now := <-inTime.C:
					pulse.Fired(now, now)
				case <-over:
					return
				}
			}
		}()
		if _, err := c.ask(t.Context(), asked); err != nil {
			t.Errorf("the request ended with %v", err)
		}
		time.Sleep(time.Minute)
		if got := pulse.Lateness(); got > time.Millisecond {
			t.Errorf("late by %v a minute later", got)
		}
	})
}

// On a late machine, a connection has more time to answer until it counts as dead, up to six
// times as much.
func TestLateMachineClosesNoConnection(t *testing.T) {
	for _, tt := range []struct {
		late, answers time.Duration
		closed        bool
	}{
		{0, 2 * time.Second, true},
		{100 * time.Millisecond, 4 * time.Second, false},
		{100 * time.Millisecond, 5 * time.Second, true},
		{time.Second, 8 * time.Second, false},
		{time.Second, 10 * time.Second, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &Caller{cfg: Config{Pulse: latePulse(tt.late)}}
			conn := &pipeConn{serve: func(rw net.Conn) { time.Sleep(tt.answers); _ = rw.Close() }}
			c.closeDead(t.Context(), []network.Conn{conn})
			if conn.closed.Load() != tt.closed {
				t.Errorf("late by %v, answer after %v: closed %v", tt.late, tt.answers, !tt.closed)
			}
			time.Sleep(tt.answers)
		})
	}
}

// On a late machine, a stream stays open for writing for longer. It is late from its timer on,
// if not before.
func TestLateMachineEndsRequestsLater(t *testing.T) {
	find := protocol.FindNode{Target: []byte("x")}
	frame := protocol.AppendResponseFrame(nil, find, protocol.Response{Closer: []protocol.Peer{{ID: calltest.ID(2)}}})
	for _, tt := range []struct {
		late  time.Duration
		known bool // before the request
		want  time.Duration
	}{
		{0, true, halfCloseAfter},
		{10 * time.Millisecond, true, halfCloseAfter + 320*time.Millisecond},
		{time.Second, true, 6 * halfCloseAfter},
		{time.Second, false, 6 * halfCloseAfter},
	} {
		synctest.Test(t, func(t *testing.T) {
			pulse := latePulse(tt.late)
			if !tt.known {
				pulse = latePulse(0)
				time.AfterFunc(halfCloseAfter/2, func() { now := time.Now(); pulse.Fired(now.Add(-tt.late), now) })
			}
			s := newStream(newScriptedStream(func(ended <-chan struct{}) ([]byte, error) { <-ended; return frame, io.EOF }), pulse, new(observe.Traffic))
			spent := roomtest.Took(func() { _, _, _ = s.exchange(find) })
			if spent != tt.want {
				t.Errorf("late by %v, known before: %v: the request ended after %v, want %v", tt.late, tt.known, spent, tt.want)
			}
		})
	}
}

// On a late machine, a request that is given up was under way for longer when its peer counts
// as late.
func TestLateMachineDoubtsLater(t *testing.T) {
	for _, tt := range []struct {
		late, after time.Duration
		want        table.Outcome
	}{
		{0, time.Second, table.Late},
		{100 * time.Millisecond, 2 * time.Second, table.Unsent},
		{100 * time.Millisecond, 5 * time.Second, table.Late},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCaller(t, Config{Pulse: latePulse(tt.late)})
			c.net.Add(calltest.ID(asked), calltest.Silent)
			ctx, cancel := context.WithTimeout(t.Context(), tt.after)
			defer cancel()
			if _, err := c.ask(ctx, asked); OutcomeOf(err) != tt.want {
				t.Errorf("late by %v, given up after %v: %v, want %v", tt.late, tt.after, OutcomeOf(err), tt.want)
			}
		})
	}
}

// On a starved machine, what a transport gives up by its own time limit is our own failure: it
// is tried again, for as long as a request may take, and counts against no peer until then. What a
// peer refuses, or a machine that keeps up, is not excused.
func TestStarvedMachineTriesAgain(t *testing.T) {
	dial := func(causes ...error) error {
		err := new(swarm.DialError)
		for _, cause := range causes {
			err.DialErrors = append(err.DialErrors, swarm.TransportError{Cause: cause})
		}
		return err
	}
	handshake := fmt.Errorf("failed to negotiate security protocol: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		name  string
		late  time.Duration
		fails error
		back  time.Duration // when the peer is; 0: never
		want  table.Outcome
		after time.Duration
	}{
		{"starved", time.Second, dial(handshake, swarm.ErrDialBackoff), 15 * time.Second, table.Answered, 15 * time.Second},
		{"its connections end", time.Second, network.ErrReset, 15 * time.Second, table.Answered, 15 * time.Second},
		{"gone", time.Second, dial(handshake), 0, table.Silent, 42 * time.Second},
		{"refuses", time.Second, dial(handshake, syscall.ECONNREFUSED), 15 * time.Second, table.Silent, 0},
		{"refuses over QUIC", time.Second, dial(handshake, &quic.TransportError{Remote: true, ErrorCode: quic.ConnectionRefused}), 15 * time.Second, table.Silent, 0},
		{"silent over QUIC", time.Second, dial(&quic.HandshakeTimeoutError{}), 15 * time.Second, table.Answered, 15 * time.Second},
		{"in time", 100 * time.Millisecond, dial(handshake), 15 * time.Second, table.Silent, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{Pulse: latePulse(tt.late)})
				c.net.Add(calltest.ID(friend), calltest.Fails(tt.fails))
				if tt.back > 0 {
					time.AfterFunc(tt.back, func() { c.net.Add(calltest.ID(friend), calltest.Names()) })
				}
				var err error
				spent := roomtest.Took(func() { _, err = c.ask(t.Context(), friend) })
				if OutcomeOf(err) != tt.want || spent < tt.after || spent > tt.after+2*retryMost {
					t.Errorf("%v after %v, want %v after %v: %v", OutcomeOf(err), spent, tt.want, tt.after, err)
				}
				suspects := 0
				if tt.want == table.Silent {
					suspects = 1
				}
				if s := c.table.Stats(); s.Suspects != suspects || s.Offline {
					t.Errorf("%+v, want %d suspects", s, suspects)
				}
			})
		})
	}
}
