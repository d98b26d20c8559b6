package net_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/itest/internal/race"
	"github.com/go-kad/kad/protocol"
)

const (
	// frames is how many the node has to handle, unless make hostile sets another number.
	frames = 20_000

	// framesPerStream is how many are sent on one stream, if none is refused.
	framesPerStream = 128

	// hostileHosts is how many hosts send them over each transport, each on hostileStreams. The
	// first stream of each does not wait for answers: the node answers only few of such requests.
	hostileHosts   = 4
	hostileStreams = 6

	// slowestFrames is how many frames a second a node handles at least, on a busy machine.
	slowestFrames = 500
)

// framesWanted returns how many frames are to be handled.
func framesWanted(t *testing.T) int {
	t.Helper()
	set := os.Getenv("KAD_HOSTILE_FRAMES")
	if set == "" && race.Enabled {
		return frames / 5 // each takes several times as long
	}
	if set == "" {
		return frames
	}
	count, err := strconv.Atoi(set)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// A frameSource makes frames, one in 40 random, nine mutated, and 30 valid.
type frameSource struct {
	rng *rand.Rand
	id  peer.ID
}

// request returns a valid request, of which some are refused: values that are older, and
// announcements of other peers.
func (s *frameSource) request() protocol.Request {
	rng := s.rng
	key := fmt.Appendf(nil, "/v/%d", rng.IntN(2000))
	hash := fmt.Appendf(nil, "\x12\x20%032d", rng.IntN(200))
	switch rng.IntN(8) {
	case 0:
		return protocol.Ping{}
	case 1:
		return protocol.GetValue{Key: key}
	case 2:
		value := bytes.Repeat([]byte{key[3]}, 1+rng.IntN(4)*rng.IntN(4)*100)
		return protocol.PutValue{Record: protocol.Record{Key: key, Value: value}}
	case 3:
		id := s.id
		if rng.IntN(20) == 0 {
			id = peer.ID(hash)
		}
		return protocol.AddProvider{Key: hash, Providers: []protocol.Peer{{ID: id, Addrs: []multiaddr.Multiaddr{
			multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001"),
		}}}}
	case 4:
		return protocol.GetProviders{Key: hash}
	default:
		target := make([]byte, 34)
		for i := range target {
			target[i] = byte(rng.Uint32())
		}
		return protocol.FindNode{Target: target}
	}
}

// What a node does with a frame.
const (
	answers = iota // it answers, or resets the stream
	mute           // nothing, or it resets the stream
	ends           // it resets the stream
)

// append appends the next frame, and returns what the node does with it.
func (s *frameSource) append(dst []byte) (out []byte, then int) {
	rng, start := s.rng, len(dst)
	switch kind := rng.IntN(40); {
	case kind == 0:
		noise := make([]byte, rng.IntN(200))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		if rng.IntN(4) > 0 {
			dst = protocol.AppendFrame(dst, noise)
		} else {
			dst = append(dst, noise...)
		}
	case kind <= 9:
		dst = protocol.AppendRequestFrame(dst, s.request())
		for range 1 + rng.IntN(3) {
			dst[start+rng.IntN(len(dst)-start)] ^= byte(1 << rng.IntN(8))
		}
		if rng.IntN(8) == 0 {
			dst = dst[:start+rng.IntN(len(dst)-start)]
		}
	default:
		dst = protocol.AppendRequestFrame(dst, s.request())
	}
	r := bufio.NewReader(bytes.NewReader(dst[start:]))
	msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
	if err != nil || r.Buffered() > 0 {
		return dst, ends
	}
	switch req, err := protocol.ParseRequest(msg); req.(type) {
	case protocol.AddProvider:
		return dst, mute
	default:
		if err != nil {
			return dst, ends
		}
		return dst, answers
	}
}

// attack sends frames until over is closed. Most streams are read to their end; some are not
// read at all, and some begin a large request that never ends. It presses if it does not wait for
// answers.
func attack(h host.Host, victim peer.ID, seed uint64, presses bool, over <-chan struct{}) {
	s := &frameSource{rng: rand.New(rand.NewPCG(seed, 1)), id: h.ID()}
	for {
		select {
		case <-over:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		stream, err := h.NewStream(ctx, victim, victimProtocol)
		cancel()
		if err != nil {
			continue // the node has no room
		}
		_ = stream.SetDeadline(time.Now().Add(20 * time.Second))
		switch kind := s.rng.IntN(200); {
		case kind == 0:
			_, _ = stream.Write(s.batch())
			_ = stream.Reset()
		case kind == 1:
			_, _ = stream.Write(append([]byte("\x80\x80\x40"), make([]byte, s.rng.IntN(256<<10))...)) // of 1 MiB
			_ = stream.Reset()
		case presses:
			_, _ = stream.Write(s.batch())
			_ = stream.CloseWrite()
			_, _ = io.Copy(io.Discard, stream)
			_ = stream.Close()
		default:
			s.converse(stream)
		}
	}
}

// batch returns the frames for a stream.
func (s *frameSource) batch() (frames []byte) {
	for n, then := 0, answers; n < framesPerStream && then != ends; n++ {
		frames, then = s.append(frames)
	}
	return frames
}

// converse sends frames on a stream, and waits for the answer of each that has one.
func (s *frameSource) converse(stream network.Stream) {
	defer func() { _ = stream.Reset() }()
	r := bufio.NewReader(stream)
	var frame []byte
	for range framesPerStream {
		var then int
		frame, then = s.append(frame[:0])
		if _, err := stream.Write(frame); err != nil {
			return
		}
		switch then {
		case answers:
			if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
				return
			}
		case ends:
			_ = stream.CloseWrite()
			_, _ = io.Copy(io.Discard, r)
			return
		}
	}
}

// ordinary is a client that puts and gets values while the node is attacked.
type ordinary struct {
	dht            *kad.DHT
	served, failed atomic.Int64
}

// newOrdinary returns a client of a victim.
func newOrdinary(t *testing.T, v *victim) *ordinary {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := kad.New(h, kad.Config{
		Network: "/itest", Mode: kad.ModeClient, Bootstrap: []peer.AddrInfo{v.info("")},
		Validators: map[string]record.Validator{"v": greatest{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.Close()
		_ = h.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := d.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	return &ordinary{dht: d}
}

// run puts and gets a value of its own, again and again, until over is closed.
func (o *ordinary) run(t *testing.T, over <-chan struct{}) {
	for i := 0; ; i++ {
		key, value := fmt.Sprintf("/v/ordinary-%d", i%100), fmt.Sprintf("%09d", i)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := o.dht.Put(ctx, key, []byte(value))
		if err == nil {
			var got []byte
			if got, err = o.dht.GetValue(ctx, key); err == nil && string(got) != value {
				err = fmt.Errorf("got %q", got)
			}
		}
		cancel()
		if err == nil {
			o.served.Add(1)
		} else if o.failed.Add(1) <= 3 {
			t.Logf("put and get %d: %v", i, err)
		}
		select {
		case <-over:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Frames of all kinds, half over TCP and half over QUIC, neither end a node, nor have it keep
// memory or goroutines, nor keep a client from its values.
func TestHostileFrames(t *testing.T) {
	wanted := framesWanted(t)
	v := startVictim(t, "")
	honest := newOrdinary(t, v)
	before := v.ask(t, true)
	t.Logf("before: %v", before)
	over := make(chan struct{})
	var senders sync.WaitGroup
	var hosts []host.Host
	for i := range 2 * hostileHosts {
		h := v.attacker(t, []string{tcp, quic}[i%2])
		hosts = append(hosts, h)
		for j := range hostileStreams {
			senders.Go(func() { attack(h, v.id, uint64(i*hostileStreams+j), j == 0, over) })
		}
	}
	senders.Go(func() { honest.run(t, over) })
	most := before
	began, next := time.Now(), wanted/10
	longest := time.Minute + time.Duration(wanted)*time.Second/slowestFrames
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for g := before; g.handled() < wanted; {
		<-tick.C
		g = v.ask(t, false)
		most.heap, most.resident, most.goroutines = max(most.heap, g.heap), max(most.resident, g.resident), max(most.goroutines, g.goroutines)
		most.streams, most.values, most.providers = max(most.streams, g.streams), max(most.values, g.values), max(most.providers, g.providers)
		if g.handled() >= next {
			next += wanted / 10
			t.Logf("%v: %d frames, %d of them refused; %v", time.Since(began).Round(time.Second), g.handled(), g.refused, g)
		}
		if time.Since(began) > longest {
			t.Errorf("%d frames in %v", g.handled(), time.Since(began))
			break
		}
	}
	close(over)
	senders.Wait()
	for _, h := range hosts {
		_ = h.Close()
	}
	after := settled(t, v, before)
	t.Logf("most: %v", most)
	t.Logf("after: %v", after)
	served, failed := honest.served.Load(), honest.failed.Load()
	t.Logf("%d pairs of a put and a get of a client were served meanwhile, and %d failed", served, failed)
	if failed > served/50 || served == 0 {
		t.Errorf("%d of a client were served, and %d failed", served, failed)
	}
	if most.heap > before.heap+192<<20 {
		t.Errorf("%d bytes were in use, want 192 MiB more than %d at most", most.heap, before.heap)
	}
	if after.heap > before.heap+32<<20 || after.goroutines > before.goroutines+10 || after.streams > 4 {
		t.Errorf("it does not come to rest: %v", after)
	}
}

// settled returns the gauges of a victim once what an attack needed is gone, or 20 seconds later.
func settled(t *testing.T, v *victim, before gauges) (g gauges) {
	t.Helper()
	for range 20 {
		if g = v.ask(t, true); g.goroutines <= before.goroutines+10 && g.streams <= 4 {
			return g
		}
		<-time.After(time.Second)
	}
	return g
}
