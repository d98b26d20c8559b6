package call

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// A server is a host whose streams lead to one peer each, which serves them as a function says.
type server struct {
	lhost.Host // nil: what is not implemented is not used

	serve func(n int, s network.Stream) // the stream with this number, from 1
	agent string                        // what all peers say that they are
	full  func(n int) bool              // whether the host has no room for this stream

	mu    sync.Mutex
	conns map[peer.ID]*fakeConn
	ends  []network.Stream // of the servers
	open  atomic.Int32     // streams that our side has not closed
	wakes atomic.Int32
}

// A fakeConn is a connection that can end.
type fakeConn struct {
	network.Conn
	transport string
	closed    atomic.Bool
}

func (c *fakeConn) IsClosed() bool { return c.closed.Load() }

func (c *fakeConn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: c.transport}
}

// A countedStream is a stream of the requester.
type countedStream struct {
	network.Stream
	open *atomic.Int32
	end  sync.Once
}

func (s *countedStream) Close() error {
	s.end.Do(func() { s.open.Add(-1) })
	return s.Stream.Close()
}

func (s *countedStream) Reset() error {
	s.end.Do(func() { s.open.Add(-1) })
	return s.Stream.Reset()
}

func (h *server) Network() network.Network { return noConns{} }

func (h *server) Peerstore() peerstore.Peerstore { return agents{agent: h.agent} }

// agents says which software all peers are.
type agents struct {
	peerstore.Peerstore
	agent string
}

func (a agents) Get(peer.ID, string) (any, error) {
	if a.agent == "" {
		return nil, peerstore.ErrNotFound
	}
	return a.agent, nil
}

// noConns is a network of connections that are all identified.
type noConns struct{ network.Network }

func (noConns) ConnsToPeer(peer.ID) []network.Conn { return nil }

func (h *server) NewStream(_ context.Context, to peer.ID, _ ...lprotocol.ID) (network.Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.ends) + 1
	if h.full != nil && h.full(n) {
		return nil, network.ErrResourceLimitExceeded
	}
	near, far := roomtest.NewStream(h.conn(to), roomtest.NewConn(calltest.ID(0), calltest.Addr(calltest.ID(0))))
	h.ends = append(h.ends, far)
	h.open.Add(1)
	go h.serve(n, far)
	return &countedStream{Stream: near, open: &h.open}, nil
}

// conn returns the connection to a peer. The lock is held.
func (h *server) conn(to peer.ID) *fakeConn {
	if h.conns == nil {
		h.conns = make(map[peer.ID]*fakeConn)
	}
	if h.conns[to] == nil {
		h.conns[to] = &fakeConn{transport: "tcp", Conn: roomtest.NewConn(to, calltest.Addr(to))}
	}
	return h.conns[to]
}

// opened returns how many streams were opened.
func (h *server) opened() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ends)
}

// streams returns a Transport to the server.
func (h *server) streams() *Streams {
	return NewStreams(h, "/kad", "/kad/many", nil, func() { h.wakes.Add(1) })
}

// answers answers all requests of a stream, after a pause.
func answers(pause time.Duration) func(int, network.Stream) {
	return func(_ int, s network.Stream) {
		r := bufio.NewReader(s)
		for answerOne(s, r, pause) == nil {
		}
		_ = s.Close()
	}
}

var theAnswer = protocol.Response{Closer: []protocol.Peer{{ID: calltest.ID(2)}}}

// answerOne answers one request.
func answerOne(s network.Stream, r *bufio.Reader, pause time.Duration) error {
	msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
	if err != nil {
		return err
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		return err
	}
	if _, ok := req.(protocol.AddProvider); ok {
		return nil
	}
	time.Sleep(pause)
	_, err = s.Write(protocol.AppendResponseFrame(nil, req, theAnswer))
	return err
}

var (
	aPeer = calltest.ID(1)
	find  = protocol.FindNode{Target: []byte("x")}
)

// request asks a peer, and fails the test if that fails.
func request(t *testing.T, s *Streams, to peer.ID) {
	t.Helper()
	resp, err := s.Request(t.Context(), to, find)
	if err != nil || len(resp.Closer) != 1 || resp.Closer[0].ID != calltest.ID(2) {
		t.Fatalf("answered %v, %v", resp, err)
	}
}

// run runs the Job of Streams until a time is over.
func run(t *testing.T, s *Streams, over time.Duration) {
	t.Helper()
	group := tasks.NewGroup()
	loop := tasks.NewLoop(group)
	loop.Add(s.Job())
	ctx, cancel := context.WithTimeout(t.Context(), over)
	defer cancel()
	loop.Run(ctx, nil, nil)
	group.Cancel()
	group.Wait(new(sync.WaitGroup))
}

// bubble runs a test in a synctest bubble, with a server, and ends its streams.
func bubble(t *testing.T, serve func(int, network.Stream), f func(t *testing.T, h *server, s *Streams)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &server{serve: serve}
		s := h.streams()
		f(t, h, s)
		s.Close(t.Context())
		for _, end := range h.ends {
			_ = end.Reset()
		}
		time.Sleep(time.Second) // the servers end
		if n := h.open.Load(); n != 0 {
			t.Errorf("%d streams are open at the end", n)
		}
	})
}

// A peer that is asked once has no idle stream. From the second request, a stream is
// reused, until it was idle for 4 to 8 s.
func TestStreamsAreReused(t *testing.T) {
	bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
		request(t, s, aPeer)
		if n := h.open.Load(); n != 0 {
			t.Errorf("%d streams are open after the first request", n)
		}
		if n := h.wakes.Load(); n != 1 {
			t.Errorf("the job was woken %d times", n)
		}
		for range 100 {
			request(t, s, aPeer)
		}
		if n := h.opened(); n != 2 {
			t.Errorf("101 requests opened %d streams, want 2", n)
		}
		began := time.Now()
		for h.open.Load() != 0 {
			run(t, s, 10*time.Second)
			if time.Since(began) > 10*time.Second {
				t.Fatalf("the stream is open after %v", time.Since(began))
			}
		}
		if len(s.idle.recent) != 0 {
			t.Error("the peer is remembered")
		}
	})
}

// Idle streams are closed 4 to 8 s after their last request, and no sooner.
func TestIdleTime(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 3999 * time.Millisecond} {
		bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
			request(t, s, aPeer)
			run(t, s, after)
			request(t, s, aPeer)
			last := time.Now()
			group := tasks.NewGroup()
			loop := tasks.NewLoop(group)
			loop.Add(s.Job())
			go loop.Run(group.Context(), nil, nil)
			for h.open.Load() != 0 {
				time.Sleep(10 * time.Millisecond)
			}
			if spent := time.Since(last); spent < sweepInterval || spent > 2*sweepInterval+10*time.Millisecond {
				t.Errorf("closed after %v", spent)
			}
			group.Cancel()
			group.Wait(new(sync.WaitGroup))
		})
	}
}

// A stream that its other side has ended while it was idle costs nothing, and one that it
// ends as the request arrives is a request on a new one. None is a failure of the peer.
func TestEndedStreams(t *testing.T) {
	reset := func(code network.StreamErrorCode) func(network.Stream) {
		return func(s network.Stream) { _ = s.ResetWithError(code) }
	}
	closed := func(s network.Stream) { _ = s.Close() }
	for _, tt := range []struct {
		name   string
		end    func(network.Stream)
		single bool // no stream is kept afterwards
	}{
		{"closed", closed, true},
		{"reset", reset(0), false},
		{"to make room", reset(kaderr.CodeBusy), false},
		{"for want of resources", reset(network.StreamResourceLimitExceeded), false},
		{"sends something", func(s network.Stream) { _, _ = s.Write([]byte{0}) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
				request(t, s, aPeer)
				request(t, s, aPeer)
				tt.end(h.ends[1])
				request(t, s, aPeer)
				if n := h.opened(); n != 3 {
					t.Errorf("%d streams were opened, want 3", n)
				}
				if single := s.idle.isSingle(aPeer); single != tt.single {
					t.Errorf("streams are not kept: %v", single)
				}
			})
		})
		if tt.name == "sends something" {
			continue // an answer to the wrong request cannot be told from a right one
		}
		t.Run(tt.name+" at the request", func(t *testing.T) {
			serve := func(n int, s network.Stream) {
				r := bufio.NewReader(s)
				if n == 2 {
					_ = answerOne(s, r, 0)
					_, _ = protocol.ReadFrame(r, protocol.MaxFrame)
					tt.end(s)
					return
				}
				answers(0)(n, s)
			}
			bubble(t, serve, func(t *testing.T, h *server, s *Streams) {
				for range 3 {
					request(t, s, aPeer)
				}
				if n := h.opened(); n != 3 {
					t.Errorf("%d streams were opened, want 3", n)
				}
				if single := s.idle.isSingle(aPeer); single != tt.single {
					t.Errorf("streams are not kept: %v", single)
				}
			})
		})
	}
}

// A refusal with a reason is the answer, also on a stream that was kept, and so is one on a
// new stream, whatever its reason.
func TestRefusalsAreAnswers(t *testing.T) {
	for _, tt := range []struct {
		code   network.StreamErrorCode
		opened int
	}{{kaderr.CodeOf(kaderr.ErrOldRecord), 2}, {kaderr.CodeOf(errors.New("x")), 2}, {kaderr.CodeBusy, 3}, {0, 3}} {
		refuses := func(n int, s network.Stream) {
			r := bufio.NewReader(s)
			if n < 3 {
				_ = answerOne(s, r, 0)
			}
			_, _ = protocol.ReadFrame(r, protocol.MaxFrame)
			_ = s.ResetWithError(tt.code)
		}
		bubble(t, refuses, func(t *testing.T, h *server, s *Streams) {
			request(t, s, aPeer)
			request(t, s, aPeer)
			if _, err := s.Request(t.Context(), aPeer, find); !errors.Is(err, kaderr.ErrRefused) {
				t.Errorf("code %#x: %v, want a refusal", uint32(tt.code), err)
			}
			if n := h.opened(); n != tt.opened {
				t.Errorf("code %#x: %d streams were opened, want %d", uint32(tt.code), n, tt.opened)
			}
		})
	}
}

// A peer that does not answer the second request of a stream, or only at its end, is asked
// on a new one, after a second at most. Its streams are not kept for a while, which doubles.
func TestPeersOfOneRequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		second func(s network.Stream, r *bufio.Reader)
		took   time.Duration
		opened int
	}{
		{"answers at the end", func(s network.Stream, r *bufio.Reader) {
			_, _ = protocol.ReadFrame(r, protocol.MaxFrame)
			_, _ = r.ReadByte()
			_, _ = s.Write(protocol.AppendResponseFrame(nil, find, theAnswer))
			_ = s.Close()
		}, halfCloseAfter, 2},
		{"never answers", func(_ network.Stream, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }, halfCloseAfter + giveUpAfter, 3},
		{"ends", func(s network.Stream, r *bufio.Reader) {
			_, _ = io.Copy(io.Discard, r)
			_ = s.Close()
		}, halfCloseAfter, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve := func(_ int, s network.Stream) {
				r := bufio.NewReader(s)
				if answerOne(s, r, 0) == nil {
					tt.second(s, r)
				}
			}
			bubble(t, serve, func(t *testing.T, h *server, s *Streams) {
				request(t, s, aPeer)
				request(t, s, aPeer)
				if took := roomtest.Took(func() { request(t, s, aPeer) }); took != tt.took {
					t.Errorf("the third request took %v, want %v", took, tt.took)
				}
				if n := h.opened(); n != tt.opened {
					t.Errorf("%d streams were opened, want %d", n, tt.opened)
				}
				for sweeps := 1; sweeps <= maxSingle; sweeps *= 2 {
					for range sweeps {
						if took := roomtest.Took(func() { request(t, s, aPeer); request(t, s, aPeer) }); took != 0 {
							t.Fatalf("2 requests took %v afterwards", took)
						}
						if n := h.open.Load(); n != 0 {
							t.Errorf("%d idle streams", n)
						}
						s.idle.sweep()
					}
					request(t, s, aPeer)
					if n := h.open.Load(); n != 1 {
						t.Fatalf("%d idle streams after %d sweeps, want 1", n, sweeps)
					}
					if took := roomtest.Took(func() { request(t, s, aPeer) }); took != tt.took {
						t.Errorf("the request after %d sweeps took %v, want %v", sweeps, took, tt.took)
					}
				}
			})
		})
	}
}

// A stream that is reset without a reason, after the end of its request, may have had an answer:
// the request is sent once more. After other resets, and of announcements, it is not.
func TestEndMeetsAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		req    protocol.Request
		after  time.Duration
		code   network.StreamErrorCode
		every  bool // stream is reset, and not the first one alone
		opened int
		ok     bool
	}{
		{"after the end", find, halfCloseAfter, 0, false, 2, true},
		{"again", find, halfCloseAfter, 0, true, 2, false},
		{"before the end", find, halfCloseAfter - time.Millisecond, 0, false, 1, false},
		{"with a reason", find, halfCloseAfter, kaderr.CodeOf(kaderr.ErrOldRecord), false, 1, false},
		{"announcement", protocol.AddProvider{Key: []byte("key")}, halfCloseAfter, 0, false, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve := func(n int, s network.Stream) {
				r := bufio.NewReader(s)
				if n > 1 && !tt.every {
					_ = answerOne(s, r, 0)
					return
				}
				_, _ = protocol.ReadFrame(r, protocol.MaxFrame)
				time.Sleep(tt.after + time.Microsecond)
				_ = s.ResetWithError(tt.code)
			}
			bubble(t, serve, func(t *testing.T, h *server, s *Streams) {
				if _, err := s.Request(t.Context(), aPeer, tt.req); (err == nil) != tt.ok {
					t.Errorf("Request() = %v, want an answer: %v", err, tt.ok)
				}
				if n := h.opened(); n != tt.opened {
					t.Errorf("%d streams were opened, want %d", n, tt.opened)
				}
			})
		})
	}
}

// A peer that was late once, and then answers, is forgotten: the next time counts as the first.
func TestLateOnce(t *testing.T) {
	bubble(t, answers(0), func(t *testing.T, _ *server, s *Streams) {
		request(t, s, aPeer)
		for range 3 {
			s.idle.single(aPeer)
			s.idle.single(aPeer) // of the same incident
			if !s.idle.isSingle(aPeer) {
				t.Error("streams are kept")
			}
			s.idle.sweep()
			if s.idle.isSingle(aPeer) {
				t.Error("streams are not kept after a sweep")
			}
			s.idle.sweep()
			if len(s.idle.singles) != 0 {
				t.Error("the incident is remembered")
			}
		}
	})
}

// A stream whose request was given up, or was answered late or with more than the answer, is
// not kept.
func TestStreamsThatAreNotKept(t *testing.T) {
	t.Run("given up", func(t *testing.T) {
		bubble(t, answers(100*time.Millisecond), func(t *testing.T, h *server, s *Streams) {
			request(t, s, aPeer)
			request(t, s, aPeer)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := s.Request(ctx, aPeer, find); err == nil {
				t.Error("the request was answered")
			}
			if n := h.opened(); n != 2 || h.open.Load() != 0 || len(s.idle.singles) != 0 {
				t.Errorf("%d streams opened, %d open, %d singles", n, h.open.Load(), len(s.idle.singles))
			}
		})
	})
	t.Run("late", func(t *testing.T) {
		bubble(t, answers(250*time.Millisecond), func(t *testing.T, h *server, s *Streams) {
			request(t, s, aPeer)
			request(t, s, aPeer)
			if n := h.open.Load(); n != 0 {
				t.Errorf("%d streams are idle whose writing side is ended", n)
			}
		})
	})
	t.Run("more than the answer", func(t *testing.T) {
		twice := func(_ int, s network.Stream) {
			frame := protocol.AppendResponseFrame(nil, find, theAnswer)
			_, _ = s.Write(slices.Concat(frame, frame))
		}
		bubble(t, twice, func(t *testing.T, h *server, s *Streams) {
			request(t, s, aPeer)
			request(t, s, aPeer)
			if n := h.open.Load(); n != 0 {
				t.Errorf("%d streams are idle that hold something", n)
			}
		})
	})
	for name, c := range map[string]*fakeConn{
		"relayed":           {transport: "tcp", Conn: roomtest.NewConn(aPeer, multiaddr.StringCast("/ip4/192.0.2.1/tcp/1/p2p/"+calltest.ID(3).String()+"/p2p-circuit"))},
		"without deadlines": {Conn: roomtest.NewConn(aPeer, calltest.Addr(aPeer))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
				h.conns = map[peer.ID]*fakeConn{aPeer: c}
				request(t, s, aPeer)
				request(t, s, aPeer)
				if n := h.open.Load(); n != 0 {
					t.Errorf("%d streams are idle", n)
				}
			})
		})
	}
}

// The streams of a peer that says that it is js-libp2p are not kept.
func TestAgents(t *testing.T) {
	for agent, kept := range map[string]int32{
		"": 1, "kubo/0.39.0": 1, "js-libp2p/3.3.11 node/22.1.0": 0, "helia/6.0.0 js-libp2p/3.3.11 node/22.1.0": 0,
	} {
		bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
			h.agent = agent
			request(t, s, aPeer)
			request(t, s, aPeer)
			if n := h.open.Load(); n != kept {
				t.Errorf("%q: %d streams are idle, want %d", agent, n, kept)
			}
		})
	}
}

// An announcement has a new stream: the end of an idle one may have been on its way before.
func TestAnnouncementsHaveNewStreams(t *testing.T) {
	bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
		request(t, s, aPeer)
		request(t, s, aPeer)
		add := protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{ID: calltest.ID(0)}}}
		if _, err := s.Request(t.Context(), aPeer, add); err != nil {
			t.Error(err)
		}
		if n := h.opened(); n != 3 || h.open.Load() != 1 {
			t.Errorf("%d streams were opened, %d are open, want 3 and 1", n, h.open.Load())
		}
	})
}

// Up to 4 streams of a peer are idle, and up to 256 in all.
func TestIdleBounds(t *testing.T) {
	bubble(t, answers(100*time.Millisecond), func(t *testing.T, h *server, s *Streams) {
		for range 2 {
			var requests sync.WaitGroup
			for i := range maxIdle {
				for range maxIdlePerPeer + 1 {
					requests.Go(func() { request(t, s, calltest.ID(i)) })
				}
			}
			requests.Wait()
		}
		if n := h.open.Load(); n != maxIdle || s.idle.count != maxIdle {
			t.Errorf("%d streams are idle, want %d", n, maxIdle)
		}
		perPeer := 0
		for _, r := range s.idle.recent {
			perPeer = max(perPeer, len(r.streams))
		}
		if perPeer > maxIdlePerPeer {
			t.Errorf("a peer has %d, want %d at most", perPeer, maxIdlePerPeer)
		}
	})
	bubble(t, answers(100*time.Millisecond), func(t *testing.T, h *server, s *Streams) {
		for range 2 {
			var requests sync.WaitGroup
			for range maxIdlePerPeer + 1 {
				requests.Go(func() { request(t, s, aPeer) })
			}
			requests.Wait()
		}
		if n := h.open.Load(); n != maxIdlePerPeer {
			t.Errorf("%d streams of one peer are idle, want %d", n, maxIdlePerPeer)
		}
	})
	bubble(t, answers(0), func(t *testing.T, _ *server, s *Streams) {
		for i := range maxRecent + 10 {
			request(t, s, calltest.ID(i))
			s.idle.single(calltest.ID(i))
		}
		if len(s.idle.recent) != maxRecent || len(s.idle.singles) > maxRecent {
			t.Errorf("%d peers and %d singles are remembered", len(s.idle.recent), len(s.idle.singles))
		}
	})
}

// Idle streams take no room that another stream needs.
func TestIdleStreamsMakeRoom(t *testing.T) {
	bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
		h.full = func(int) bool { return h.open.Load() > 0 }
		request(t, s, aPeer)
		request(t, s, aPeer)
		request(t, s, calltest.ID(3))
		h.full = func(int) bool { return true }
		if _, err := s.Request(t.Context(), calltest.ID(3), find); !errors.Is(err, network.ErrResourceLimitExceeded) {
			t.Errorf("%v, want the limit", err)
		}
	})
}

// Idle streams end with their connection, when the peer has another one, and with all.
func TestDrop(t *testing.T) {
	bubble(t, answers(0), func(t *testing.T, h *server, s *Streams) {
		fill := func() {
			for i := range 3 {
				for range 2 {
					request(t, s, calltest.ID(i))
				}
			}
			if n := h.open.Load(); n != 3 {
				t.Fatalf("%d streams are idle, want 3", n)
			}
		}
		fill()
		h.conns[aPeer].closed.Store(true)
		h.conns[aPeer] = nil
		request(t, s, aPeer) // it has taken none of the connection that has ended
		for _, tt := range []struct {
			name string
			drop func()
			left int32
		}{
			{"another connection", func() { s.Drop(aPeer, &fakeConn{}) }, 2},
			{"the same connection", func() { s.Drop(aPeer, h.conns[aPeer]) }, 3},
			{"no connection", func() { s.Drop(aPeer, nil) }, 2},
			{"all", s.DropAll, 0},
		} {
			fill()
			woken := h.wakes.Load()
			tt.drop()
			if (h.wakes.Load() > woken) != (tt.left < 3) {
				t.Errorf("%s: the job was woken %d times", tt.name, h.wakes.Load()-woken)
			}
			run(t, s, time.Millisecond)
			if n := h.open.Load(); n != tt.left {
				t.Errorf("%s: %d streams are left, want %d", tt.name, n, tt.left)
			}
		}
		fill()
		s.Close(t.Context())
		request(t, s, aPeer)
		if n := h.open.Load(); n != 0 {
			t.Errorf("%d streams are open after Close", n)
		}
	})
}

// Many requests at once have one stream each at a time, and all are answered, while the
// server ends some of the streams.
func TestStreamsAtOnce(t *testing.T) {
	serve := func(n int, s network.Stream) {
		r := bufio.NewReader(s)
		for i := 0; answerOne(s, r, time.Millisecond) == nil; i++ {
			if n%2 == 0 && i == n%5 {
				time.Sleep(time.Duration(n%3) * time.Millisecond)
				_ = s.ResetWithError(kaderr.CodeBusy)
			}
		}
		_ = s.Close()
	}
	bubble(t, serve, func(t *testing.T, h *server, s *Streams) {
		var requests sync.WaitGroup
		for i := range 8 {
			requests.Go(func() {
				for range 100 {
					if _, err := s.Request(t.Context(), calltest.ID(i%2+1), find); err != nil && !errors.Is(err, kaderr.ErrBusy) {
						t.Error(err)
					}
				}
			})
		}
		requests.Wait()
		if n := h.opened(); n >= 800 {
			t.Errorf("800 requests opened %d streams", n)
		}
	})
}

// How many objects a request takes, the server included: on a stream that is kept, and on
// one of its own.
func TestRequestAllocations(t *testing.T) {
	if roomtest.RaceEnabled {
		t.Skip("the race detector allocates, too")
	}
	h := &server{serve: func(_ int, s network.Stream) {
		r, buf, frame := bufio.NewReader(s), []byte(nil), protocol.AppendResponseFrame(nil, protocol.Ping{}, protocol.Response{})
		for {
			var err error
			if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
				return
			}
			if _, err := s.Write(frame); err != nil {
				return
			}
		}
	}}
	s := h.streams()
	defer s.Close(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tt := range []struct {
		kept bool
		max  float64
	}{{true, 6}, {false, 49}} {
		s.idle.closed = !tt.kept
		got := testing.AllocsPerRun(200, func() {
			if _, err := s.Request(ctx, aPeer, protocol.Ping{}); err != nil {
				t.Fatal(err)
			}
		})
		if got > tt.max {
			t.Errorf("kept %v: %.0f objects, want at most %.0f", tt.kept, got, tt.max)
		}
	}
}
