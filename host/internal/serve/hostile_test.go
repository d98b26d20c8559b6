package serve

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
)

// dialFrom opens a stream to a node from a peer at an address.
func dialFrom(n *node, from peer.ID, addr string) network.Stream {
	near, far := roomtest.NewStream(roomtest.NewConn(n.host.ID(), nil), roomtest.NewConn(from, multiaddr.StringCast(addr)))
	go n.Handle(far)
	return near
}

// netAddr returns an address in one of many networks.
func netAddr(i int) string { return fmt.Sprintf("/ip4/%d.%d.7.7/tcp/4001", 20+i%100, i/100) }

// liveHeap returns the bytes that are in use.
func liveHeap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Strangers that begin large requests and never end them take no more memory than there is
// for all of them, and a large request of another peer is still served.
func TestHostileUnfinishedFrames(t *testing.T) { synctest.Test(t, testHostileUnfinishedFrames) }

func testHostileUnfinishedFrames(t *testing.T) {
	identities := 50
	if roomtest.RaceEnabled {
		identities = 10 // which is slow, and five times what there is memory for
	}
	d := newNode(t, 256)
	defer d.Close()
	before := liveHeap()
	part := make([]byte, 1<<20)
	n := binary.PutUvarint(part, 1<<20+1<<10)
	var hostile []network.Stream
	var manager atomic.Int64 // what is reserved in the resource manager of the host
	for identity := range identities {
		for range 32 {
			s, far := roomtest.NewStream(roomtest.NewConn(d.host.ID(), nil),
				roomtest.NewConn(calltest.ID(1000+identity), multiaddr.StringCast(netAddr(identity))))
			go d.Handle(&accounted{Stream: far, total: &manager})
			hostile = append(hostile, s)
			go func() {
				_, _ = s.Write(part[:n])
				for rest := part[n:]; len(rest) > 0; rest = rest[min(len(rest), 32<<10):] {
					if _, err := s.Write(rest[:min(len(rest), 32<<10)]); err != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
	}
	grown := liveHeap() - before
	t.Logf("32 streams of each of %d identities: %d served, %d MiB more in use, %d MiB reserved, %d of them in the resource manager",
		identities, d.Len(), grown>>20, d.memory>>20, manager.Load()>>20)
	if got := manager.Load(); got != int64(d.memory) || got == 0 {
		t.Errorf("%d bytes are reserved in the resource manager, want %d", got, d.memory)
	}
	if limit := maxMemory + 32<<20; grown > limit {
		t.Errorf("%d bytes more are in use, want at most %d", grown, limit)
	}
	for i := range 10 {
		put := protocol.PutValue{Record: protocol.Record{Key: fmt.Appendf(nil, "/v/%d", i), Value: append([]byte("1"), make([]byte, 1<<19)...)}}
		for j := range put.Record.Value {
			put.Record.Value[j] = '1'
		}
		s := dialFrom(d, calltest.ID(i), netAddr(60+i))
		go func() { _, _ = s.Write(protocol.AppendRequestFrame(nil, put)); _ = s.CloseWrite() }()
		if _, err := protocol.ReadFrame(bufio.NewReader(s), protocol.MaxFrame); err != nil {
			t.Errorf("put %d of another peer: %v", i, err)
		}
	}
	for _, s := range hostile {
		_ = s.Reset()
	}
	synctest.Wait()
	if d.memory != 0 {
		t.Errorf("%d bytes are reserved although all streams have ended", d.memory)
	}
}

// An accounted stream is one with a scope of the resource manager, whose memory is added up.
type accounted struct {
	network.Stream

	total *atomic.Int64
	own   atomic.Int64 // what the stream has, which goes with it
}

func (s *accounted) Scope() network.StreamScope { return &accountedScope{s, &network.NullScope{}} }

func (s *accounted) ResetWithError(code network.StreamErrorCode) error {
	s.total.Add(-s.own.Swap(0))
	return s.Stream.ResetWithError(code)
}

type accountedScope struct {
	stream *accounted
	network.StreamScope
}

func (s *accountedScope) ReserveMemory(size int, _ uint8) error {
	s.stream.own.Add(int64(size))
	s.stream.total.Add(int64(size))
	return nil
}

func (s *accountedScope) ReleaseMemory(size int) {
	s.stream.own.Add(-int64(size))
	s.stream.total.Add(-int64(size))
}

// Peers that ask for large records and do not read them take no more memory than there is.
func TestHostileUnreadAnswers(t *testing.T) { synctest.Test(t, testHostileUnreadAnswers) }

func testHostileUnreadAnswers(t *testing.T) {
	d := newNode(t, 256)
	defer d.Close()
	value := make([]byte, protocol.MaxValue)
	for i := range value {
		value[i] = '1'
	}
	hold(t, d, "/v/key", string(value))
	get := protocol.AppendRequestFrame(nil, protocol.GetValue{Key: []byte("/v/key")})
	before := liveHeap()
	var hostile []network.Stream
	for i := range 256 {
		s := dialFrom(d, calltest.ID(1000+i/8), netAddr(i/8))
		hostile = append(hostile, s)
		_, _ = s.Write(get)
		_, _ = s.Write(get)
		synctest.Wait()
	}
	grown := liveHeap() - before // with 64 KiB and more on its way in each stream of the test
	t.Logf("%d streams: %d MiB more in use, %d MiB reserved", d.Len(), grown>>20, d.memory>>20)
	if d.memory > maxMemory {
		t.Errorf("%d bytes are reserved, want at most %d", d.memory, maxMemory)
	}
	for _, s := range hostile {
		_ = s.Reset()
	}
}

// Identities that flood a node with requests on all their streams leave another peer the share
// of one identity, and of several if they are in one network of addresses.
func TestHostileFlood(t *testing.T) {
	key := []byte("key")
	// The bounds leave room for a busy machine, which delays the one honest goroutine more
	// than it does the 500 of the flood: what is fair exactly is what TestQueue shows.
	for _, test := range []struct {
		name     string
		req      protocol.Request
		networks int
		want     float64 // of what one identity of the flood has
	}{
		{"FIND_NODE, 50 networks", protocol.FindNode{Target: key}, 50, 0.04},
		{"FIND_NODE, 1 network", protocol.FindNode{Target: key}, 1, 0.5},
		{"GET_PROVIDERS, 50 networks", protocol.GetProviders{Key: key}, 50, 0.04},
		{"PUT_VALUE, 50 networks", protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}, 50, 0.04},
		{"PUT_VALUE, 1 network", protocol.PutValue{Record: protocol.Record{Key: []byte("/v/key"), Value: []byte("1")}}, 1, 0.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			honest, flood := flooded(t, test.req, test.networks)
			share := float64(honest) * 50 / float64(flood)
			t.Logf("%d requests of one honest stream, %d of the flood: %.2f of one identity", honest, flood, share)
			if share < test.want {
				t.Errorf("an honest peer has %.2f of the share of an identity, want %.2f", share, test.want)
			}
		})
	}
}

const (
	// floodAnswers is how many answers a flood has at most while it is measured.
	floodAnswers = 200_000

	// honestAnswers is how many answers an honest peer has until then.
	honestAnswers = 200
)

// flooded counts the requests of one peer that asks one after the other, while 50 identities
// send the same on 5 streams each without waiting, until it has honestAnswers.
func flooded(t *testing.T, req protocol.Request, networks int) (honest, flood int64) {
	d := newNode(t, 256)
	acquaint(d, 150, "/ip4/192.0.2.1/tcp/4001")
	frame := protocol.AppendRequestFrame(nil, req)
	var many []byte
	for range 100 {
		many = append(many, frame...)
	}
	var answers, asked atomic.Int64
	var peers sync.WaitGroup
	var streams []network.Stream
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	for i := range 250 {
		s := dialFrom(d, calltest.ID(1000+i/5), netAddr(i/5%networks))
		streams = append(streams, s)
		peers.Go(func() {
			for {
				if _, err := s.Write(many); err != nil {
					return
				}
			}
		})
		peers.Go(func() {
			for r := bufio.NewReader(s); ; {
				if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
					return
				}
				if answers.Add(1) == floodAnswers {
					end()
				}
			}
		})
	}
	s := dialFrom(d, calltest.ID(5000), netAddr(99))
	streams = append(streams, s)
	before := served(d)
	peers.Go(func() {
		for r := bufio.NewReader(s); ; {
			if _, err := s.Write(frame); err != nil {
				return
			}
			if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
				return
			}
			if asked.Add(1) == honestAnswers {
				end()
			}
		}
	})
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Error("the flood is not answered")
	}
	honest = asked.Load()
	flood = served(d) - before - honest
	for _, s := range streams {
		_ = s.Reset()
	}
	peers.Wait()
	d.Close()
	d.Done().Wait()
	return honest, flood
}

// served returns how many requests a node has answered.
func served(d *node) (count int64) {
	d.Times().Each(func(_ string, outcome uint8, times observe.Times) {
		if outcome == uint8(table.Answered) {
			count += int64(times.Count)
		}
	})
	return count
}

// A request waits for its turn behind few of others, however many of a peer wait before it,
// and a stream that ends while its request waits leaves the queue.
func TestQueue(t *testing.T) {
	q := queue{places: 1}
	in := func(id int, addr string) *inbound {
		_, far := roomtest.NewStream(nil, roomtest.NewConn(calltest.ID(id), multiaddr.StringCast(addr)))
		in := &inbound{stream: far, peer: calltest.ID(id)}
		in.locate()
		return in
	}
	first := in(0, netAddr(0))
	q.begin(first, time.Time{})
	var flood []*inbound
	for i := range 250 {
		flood = append(flood, in(i/5, netAddr(i/50)))
		q.begin(flood[i], time.Time{})
	}
	running := first
	next := func() {
		before := running
		before.placed = false
		q.end(before, time.Millisecond, time.Time{})
		for _, f := range flood {
			if f.placed {
				running = f
			}
		}
	}
	for range 20 {
		next()
	}
	honest := in(300, netAddr(70))
	q.begin(honest, time.Time{})
	flood = append(flood, honest)
	turns := 1
	for next(); !honest.placed && turns < 100; turns++ {
		next()
	}
	if turns > 5 {
		t.Errorf("a newcomer waits for %d turns behind 5 networks", turns)
	}
	gone := in(301, netAddr(71))
	q.begin(gone, time.Time{})
	q.leave(gone)
	if gone.placed || len(q.waiting) != 250-20-turns+1 {
		t.Errorf("placed %v, %d wait", gone.placed, len(q.waiting))
	}
	for len(q.waiting) > 0 {
		next()
	}
	if next(); len(q.running) > 0 || q.levels[0].users != nil {
		t.Errorf("%d requests have a place at the end", len(q.running))
	}
}
