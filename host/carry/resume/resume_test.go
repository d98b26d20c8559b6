package resume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

// The search of libp2p for a router with UPnP outlives its host by some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"))
}

var _ net.Conn = (*Stream)(nil)

const (
	patience = time.Minute

	testProtocol lprotocol.ID = "/test/resume"
)

var errNoWay = errors.New("there is no way")

// A pair is two endpoints with one stream.
type pair struct {
	ann, bob     lhost.Host
	opens        *Endpoint // Ann's
	accepts      *Endpoint // Bob's
	toBob, toAnn *Stream
}

// newPair opens a stream from Ann to Bob. A Config without Connect has one that fails.
func newPair(t *testing.T, ann, bob lhost.Host, annCfg, bobCfg Config) *pair {
	t.Helper()
	accepted := make(chan *Stream, 1)
	done := make(chan struct{})
	bobCfg.Accept = func(s *Stream) {
		accepted <- s
		<-done
	}
	for _, cfg := range []*Config{&annCfg, &bobCfg} {
		if cfg.Connect == nil {
			cfg.Connect = func(context.Context, peer.ID) error { return errNoWay }
		}
	}
	p := &pair{ann: ann, bob: bob, opens: New(ann, testProtocol, annCfg), accepts: New(bob, testProtocol, bobCfg)}
	t.Cleanup(func() {
		close(done)
		_ = p.opens.Close()
		_ = p.accepts.Close()
	})
	var err error
	if p.toBob, err = p.opens.Open(t.Context(), bob.ID()); err != nil {
		t.Fatal(err)
	}
	p.toAnn = <-accepted
	return p
}

// connecting is a Config whose Connect dials a host.
func connecting(from, to lhost.Host) Config {
	return Config{Connect: func(ctx context.Context, id peer.ID) error {
		return from.Connect(ctx, peer.AddrInfo{ID: id, Addrs: to.Addrs()})
	}}
}

// noise returns bytes by which an order shows.
func noise(size int) []byte {
	var seed [32]byte
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// transfer writes data to one stream, reads it from the other one, and checks it.
func transfer(t *testing.T, from *Stream, to io.Reader, data []byte) {
	t.Helper()
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := from.Write(data); err != nil {
			t.Error(err)
		}
		_ = from.CloseWrite()
		if err := from.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(to)
	writing.Wait()
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("received %d bytes, %v; want the %d that were sent", len(got), err, len(data))
	}
}

// exchange sends a text and reads it at the other side.
func exchange(t *testing.T, from, to *Stream, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("received %q, %v; want %q", got, err, text)
	}
	_ = to.SetReadDeadline(time.Time{})
}

// An everyBytes is a reader that does something each time it has read so many bytes.
type everyBytes struct {
	io.Reader

	bytes, read int
	do          func()
}

func (r *everyBytes) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	for r.read += n; r.read >= r.bytes; r.read -= r.bytes {
		r.do()
	}
	return n, err
}

// Streams in both directions go on while their connection is closed again and again.
func TestBreaks(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	opens := connecting(ann, bob)
	opens.linger = time.Second
	p := newPair(t, ann, bob, opens, Config{linger: time.Second})
	data := noise(20 << 20)
	broken := 0
	breaks := &everyBytes{Reader: p.toAnn, bytes: len(data) / 8, do: func() {
		_ = []lhost.Host{ann, bob}[broken%2].Network().ClosePeer([]lhost.Host{bob, ann}[broken%2].ID())
		broken++
	}}
	var both sync.WaitGroup
	both.Go(func() { transfer(t, p.toBob, breaks, data) })
	both.Go(func() { transfer(t, p.toAnn, p.toBob, data[:len(data)/2]) })
	both.Wait()
	if broken < 3 {
		t.Errorf("the connection was closed %d times, want more", broken)
	}
	pathtest.Eventually(t, "both sides forget the stream", func() bool { return len(p.opens.all())+len(p.accepts.all()) == 0 })
}

// A stream moves from a relayed to a direct connection, and does not need the relay then.
func TestMoves(t *testing.T) {
	relay, ann, bob := pathtest.Relay(t), pathtest.Host(t), pathtest.Host(t)
	pathtest.Relayed(t, ann, bob, relay)
	p := newPair(t, ann, bob, Config{}, Config{})
	exchange(t, p.toBob, p.toAnn, "through a relay")
	if s := p.toBob.Status(); s.Path != PathRelayed {
		t.Errorf("the path is %v", s.Path)
	}
	pathtest.Direct(t, ann, bob)
	pathtest.Eventually(t, "the stream is direct", func() bool {
		return p.toBob.Status().Path == PathDirect && p.toAnn.Status().Path == PathDirect
	})
	_ = relay.Close()
	exchange(t, p.toBob, p.toAnn, "and on")
	exchange(t, p.toAnn, p.toBob, "in both directions")
}

// strictRelay is a relay that ends connections after 128 KiB.
func strictRelay(t *testing.T) lhost.Host {
	t.Helper()
	return pathtest.Host(t, libp2p.ForceReachabilityPublic(),
		libp2p.EnableRelayService(relayv2.WithLimit(&relayv2.RelayLimit{Duration: time.Hour, Data: 128 << 10})))
}

// 5 MB begin on a strict relay, wait for the direct connection there, and arrive.
func TestStrictRelay(t *testing.T) {
	relay, ann, bob := strictRelay(t), pathtest.Host(t), pathtest.Host(t)
	pathtest.Relayed(t, ann, bob, relay)
	p := newPair(t, ann, bob, Config{}, Config{})
	var punching sync.WaitGroup
	punching.Go(func() {
		pathtest.Eventually(t, "a part arrives through the relay", func() bool { return p.toAnn.Status().Received > 0 })
		time.Sleep(500 * time.Millisecond) // as long as a hole takes
		if got := p.toAnn.Status().Received; got > 64<<10 {
			t.Errorf("%d bytes went through the relay", got)
		}
		pathtest.Direct(t, ann, bob)
	})
	transfer(t, p.toBob, p.toAnn, noise(5<<20))
	punching.Wait()
	if s := p.toBob.Status(); s.Err != nil {
		t.Errorf("the stream has had an error: %v", s.Err)
	}
}

// Where no hole can be punched, much goes over a strict relay too, in parts.
func TestStrictRelayOnly(t *testing.T) {
	relay, ann, bob := strictRelay(t), pathtest.Host(t), pathtest.Host(t)
	pathtest.Relayed(t, ann, bob, relay)
	circuit := ann.Network().ConnsToPeer(bob.ID())[0].RemoteMultiaddr()
	p := newPair(t, ann, bob, Config{hold: 200 * time.Millisecond, Connect: func(ctx context.Context, id peer.ID) error {
		ctx = network.WithAllowLimitedConn(ctx, "test")
		return ann.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{circuit}})
	}}, Config{})
	transfer(t, p.toBob, p.toAnn, noise(500<<10))
}

// The side that has accepted a stream comes back when the opener cannot reach it.
func TestAcceptorComesBack(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	ann.Peerstore().ClearAddrs(bob.ID())
	p := newPair(t, ann, bob, Config{}, connecting(bob, ann))
	exchange(t, p.toBob, p.toAnn, "before")
	_ = ann.Network().ClosePeer(bob.ID())
	exchange(t, p.toBob, p.toAnn, "after")
}

// A stream without a path keeps a window, then Write waits; and it fails at last, and says how
// much is lost.
func TestLost(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	p := newPair(t, ann, bob, Config{Patience: time.Second, Window: 1000}, Config{Patience: time.Second})
	exchange(t, p.toBob, p.toAnn, "before")
	if err := p.toBob.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = ann.Network().ClosePeer(bob.ID())
	pathtest.Eventually(t, "the path is gone", func() bool { return p.toBob.Status().Path == PathNone })
	_ = p.toBob.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := p.toBob.Write(noise(1500)); n != 1000 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write = %d, %v; want a window, and a timeout", n, err)
	}
	_ = p.toBob.SetWriteDeadline(time.Time{})
	n, err := p.toBob.Write([]byte("x"))
	lost, ok := errors.AsType[*LostError](err)
	if n != 0 || !ok || lost.Unread != 1000 || !errors.Is(err, errNoWay) {
		t.Errorf("Write = %d, %v; want that 1000 bytes were not read, since there is no way", n, err)
	}
	if err := p.toBob.Flush(t.Context()); !errors.Is(err, errNoWay) {
		t.Errorf("Flush() = %v", err)
	}
	if _, err := p.toAnn.Read(make([]byte, 1)); !isA[*LostError](err) {
		t.Errorf("Read() = %v", err)
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// What is kept while there is no path is sent when there is one.
func TestKept(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	p := newPair(t, ann, bob, Config{}, Config{})
	exchange(t, p.toBob, p.toAnn, "before")
	_ = ann.Network().ClosePeer(bob.ID())
	pathtest.Eventually(t, "the path is gone", func() bool { return p.toBob.Status().Path == PathNone })
	if _, err := io.WriteString(p.toBob, "meanwhile, "); err != nil {
		t.Fatal(err)
	}
	pathtest.Direct(t, bob, ann) // it does not matter from which side
	if _, err := io.WriteString(p.toBob, "later"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("meanwhile, later"))
	if _, err := io.ReadFull(p.toAnn, got); err != nil || string(got) != "meanwhile, later" {
		t.Errorf("received %q, %v", got, err)
	}
}

// A peer that has forgotten the stream says so, as a program does that was started again.
func TestGone(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	p := newPair(t, ann, bob, connecting(ann, bob), Config{})
	p.accepts.mu.Lock()
	clear(p.accepts.accepted)
	p.accepts.mu.Unlock()
	_ = ann.Network().ClosePeer(bob.ID())
	if _, err := p.toBob.Read(make([]byte, 1)); !errors.Is(err, ErrGone) {
		t.Errorf("Read() = %v, want %v", err, ErrGone)
	}
}

// A stream that one side resets, or whose endpoint is closed, ends on both.
func TestReset(t *testing.T) {
	for name, end := range map[string]func(*pair){
		"by the opener":     func(p *pair) { _ = p.toBob.Reset() },
		"by the other side": func(p *pair) { _ = p.toAnn.Reset() },
		"endpoint closed":   func(p *pair) { _ = p.opens.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ann, bob := pathtest.Host(t), pathtest.Host(t)
			pathtest.Direct(t, ann, bob)
			p := newPair(t, ann, bob, Config{}, Config{})
			exchange(t, p.toBob, p.toAnn, "before")
			end(p)
			for _, s := range []*Stream{p.toBob, p.toAnn} {
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrReset) && !errors.Is(err, ErrClosed) {
					t.Errorf("Read() = %v, want %v", err, ErrReset)
				}
				if _, err := s.Write([]byte{1}); err == nil {
					t.Error("a stream that was reset can be written to")
				}
			}
		})
	}
}

// The other side hears of a reset also while both send, and does not wait for the stream to
// come back.
func TestResetWhileSending(t *testing.T) {
	for range 20 {
		ann, bob := pathtest.Host(t), pathtest.Host(t)
		pathtest.Direct(t, ann, bob)
		p := newPair(t, ann, bob, Config{}, Config{})
		var sending sync.WaitGroup
		for _, s := range []*Stream{p.toBob, p.toAnn} {
			sending.Go(func() {
				for block := noise(1 << 10); ; {
					if _, err := s.Write(block); err != nil {
						return
					}
				}
			})
		}
		sending.Go(func() { _, _ = io.Copy(io.Discard, p.toAnn) })
		if _, err := io.CopyN(io.Discard, p.toBob, 1<<20); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = p.toBob.Reset()
		sending.Wait()
		if took := time.Since(began); took > helloTimeout {
			t.Fatalf("the other side hears of the reset after %v", took)
		}
	}
}

// The other side hears that a stream is given up, or its endpoint closed, also if the host is
// closed at once, while the other side sends.
func TestEndIsHeard(t *testing.T) {
	for name, end := range map[string]func(*pair){
		"close": func(p *pair) { _ = p.opens.Close() },
		"reset": func(p *pair) { _ = p.toBob.Reset(); _ = p.opens.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				ann, bob := pathtest.Host(t), pathtest.Host(t)
				pathtest.Direct(t, ann, bob)
				p := newPair(t, ann, bob, Config{}, Config{})
				ended := make(chan error)
				go func() {
					for block := noise(1 << 16); ; {
						if _, err := p.toAnn.Write(block); err != nil {
							ended <- err
							return
						}
					}
				}()
				if _, err := io.CopyN(io.Discard, p.toBob, 1<<20); err != nil {
					t.Fatal(err)
				}
				end(p)
				_ = ann.Close()
				select {
				case err := <-ended:
					if !errors.Is(err, ErrReset) {
						t.Errorf("the stream ended with %v, want %v", err, ErrReset)
					}
				case <-time.After(patience):
					t.Fatalf("the other side has heard of no end: %+v", p.toAnn.Status())
				}
			}
		})
	}
}

// A side that reads no more says so to the other one.
func TestStopped(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	p := newPair(t, ann, bob, Config{}, Config{})
	_ = p.toAnn.Close()
	var err error
	for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); {
		_, err = p.toBob.Write(noise(1 << 20))
	}
	if !errors.Is(err, ErrStopped) {
		t.Errorf("Write = %v, want %v", err, ErrStopped)
	}
	if _, err := p.toBob.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read() = %v, want the end", err)
	}
	if _, err := p.toAnn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read() = %v of a closed stream", err)
	}
	pathtest.Eventually(t, "both sides forget the stream", func() bool { return len(p.opens.all())+len(p.accepts.all()) == 0 })
}

// What was written before Close arrives, also if the endpoint is closed at once.
func TestCloseSends(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	p := newPair(t, ann, bob, Config{}, Config{})
	data := noise(1 << 20)
	if _, err := p.toBob.Write(data); err != nil {
		t.Fatal(err)
	}
	_ = p.toBob.Close()
	var closing sync.WaitGroup
	closing.Go(func() { _ = p.opens.Close() })
	got, err := io.ReadAll(p.toAnn)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("received %d bytes, %v", len(got), err)
	}
	closing.Wait()
	if _, err := p.opens.Open(t.Context(), bob.ID()); !errors.Is(err, ErrClosed) {
		t.Errorf("Open() = %v of a closed endpoint", err)
	}
}

// Open fails at once, and says why.
func TestOpenFails(t *testing.T) {
	ann, bob, mute := pathtest.Host(t), pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	pathtest.Direct(t, ann, mute)
	opens, accepts := New(ann, testProtocol, Config{}), New(bob, testProtocol, Config{})
	defer opens.Close()
	defer accepts.Close()
	if _, err := opens.Open(t.Context(), bob.ID()); !errors.Is(err, ErrGone) {
		t.Errorf("Open() = %v of a peer that accepts none", err)
	}
	if _, err := opens.Open(t.Context(), mute.ID()); !isUnsupported(err) {
		t.Errorf("Open() = %v of a peer without the protocol", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := opens.Open(ctx, "nobody"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open() = %v of a peer that is not there", err)
	}
}

// One peer has few streams.
func TestFull(t *testing.T) {
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	release := make(chan struct{})
	opens, accepts := New(ann, testProtocol, Config{}), New(bob, testProtocol, Config{Accept: func(*Stream) { <-release }})
	defer accepts.Close()
	defer close(release)
	defer opens.Close()
	for range maxAcceptedOfPeer {
		if _, err := opens.Open(t.Context(), bob.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := opens.Open(t.Context(), bob.ID()); !errors.Is(err, ErrFull) {
		t.Errorf("Open() = %v, want %v", err, ErrFull)
	}
}

// A peer that does not keep to the protocol loses its stream, and costs nothing more.
func TestMisfit(t *testing.T) {
	tests := map[string][]byte{
		"nothing":         {},
		"hello":           bytes.Repeat([]byte{0xff}, helloSize),
		"unknown":         hello{false, id{1}, 0, 1}.bytes(),
		"received of all": hello{true, id{2}, 1 << 40, 1}.bytes(),
		"kind":            append(hello{true, id{3}, 0, 1}.bytes(), bytes.Repeat([]byte{9}, frameSize)...),
		"gap":             join(hello{true, id{4}, 0, 1}.bytes(), frame{kindData, 10, 1}, []byte{1}),
		"large":           join(hello{true, id{5}, 0, 1}.bytes(), frame{kindData, 0, blockSize + 1}, nil),
		"over the window": join(hello{true, id{6}, 0, 1}.bytes(), frame{kindData, 0, 200}, make([]byte, 200)),
		"read of all":     join(hello{true, id{7}, 0, 1}.bytes(), frame{kindRead, 10, 0}, nil),
		"end elsewhere":   join(hello{true, id{8}, 0, 1}.bytes(), frame{kindEnd, 10, 0}, nil),
	}
	ann, bob := pathtest.Host(t), pathtest.Host(t)
	pathtest.Direct(t, ann, bob)
	handled := make(chan error, len(tests))
	accepts := New(bob, testProtocol, Config{Window: 100, Accept: func(s *Stream) {
		_ = s.SetReadDeadline(time.Now().Add(patience))
		_, err := s.Read(make([]byte, 1))
		handled <- err
	}})
	defer accepts.Close()
	for name, give := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := ann.NewStream(t.Context(), bob.ID(), testProtocol)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = s.Write(give)
			_ = s.CloseWrite()
			_ = s.SetReadDeadline(time.Now().Add(patience))
			_, err = io.ReadAll(s)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the stream does not end")
			}
			_ = s.Reset()
		})
	}
	pathtest.Eventually(t, "all streams end", func() bool { return len(handled) == 6 })
	for range 6 {
		if err := <-handled; !errors.Is(err, errProtocol) {
			t.Errorf("Read() = %v, want %v", err, errProtocol)
		}
	}
}

// join returns a hello, a frame, and data, in one.
func join(h []byte, f frame, data []byte) []byte {
	return append(f.append(h), data...)
}

func FuzzReadFrame(f *testing.F) {
	f.Add(make([]byte, frameSize))
	f.Add(hello{true, id{1}, 5, 6}.bytes())
	f.Add(welcome{answerFull, 5, 6}.bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, err := readFrame(bytes.NewReader(in)); err == nil {
			if b := got.append(nil); !bytes.Equal(b, in[:frameSize]) {
				t.Errorf("%x was read from %x", b, in)
			}
		}
		if got, err := readHello(bytes.NewReader(in)); err == nil && !bytes.Equal(got.bytes(), in[:helloSize]) {
			t.Errorf("%+v was read from %x", got, in)
		}
		if got, err := readWelcome(bytes.NewReader(in)); err == nil && !bytes.Equal(got.bytes(), in[:welcomeSize]) {
			t.Errorf("%+v was read from %x", got, in)
		}
	})
}
