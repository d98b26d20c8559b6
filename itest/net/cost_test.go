package net_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/protocol"
)

// costServer is the variable of the environment that makes the test a server, for
// [BenchmarkServerCost].
const costServer = "KAD_COST_SERVER"

// costProfile is the variable of the environment with a directory for profiles of the servers of
// [BenchmarkServerCost], and of their clients.
const costProfile = "KAD_COST_PROFILE"

// profiled profiles the process until the function is called that it returns, if a directory is
// given.
func profiled(name string) (end func() error, err error) {
	dir := os.Getenv(costProfile)
	if dir == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(dir, name+".cpu"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// costListen is the variable of the environment with the address on which the server listens.
const costListen = "KAD_COST_LISTEN"

// Where a server listens.
const (
	overTCP  = "/ip4/127.0.0.1/tcp/0"
	overQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// costBench is the variable of the environment with the name of the benchmark, for its server.
const costBench = "KAD_COST_BENCH"

const (
	costNetwork  = "/cost"
	costProtocol = lprotocol.ID(costNetwork + "/kad/1.0.0")
	echoProtocol = lprotocol.ID(costNetwork + "/echo")
)

// costClients is how many requests are under way at a time.
const costClients = 16

// A usage is what a server has used since its start.
type usage struct {
	cpu      int64 // µs
	requests uint64
}

// serveCost is the process of a server: a DHT, and an echo of frames, beside which it is
// measured. It prints its address, and for each line that it reads its usage.
func serveCost() (err error) {
	endProfile, err := profiled(os.Getenv(costBench) + ".server")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endProfile()) }()
	h, err := libp2p.New(libp2p.ListenAddrStrings(os.Getenv(costListen)), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return err
	}
	defer h.Close()
	var echoed atomic.Uint64
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		defer s.Close()
		r := bufio.NewReader(s)
		var buf, frame []byte
		for {
			var err error
			if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
				return
			}
			frame = protocol.AppendFrame(frame[:0], buf)
			echoed.Add(1)
			if _, err := s.Write(frame); err != nil {
				return
			}
		}
	})
	served, end, err := serveCosts[os.Getenv(costServer)](h)
	if err != nil {
		return err
	}
	defer func() { _ = end() }()
	fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(processTime().Microseconds(), served()+echoed.Load())
	}
	return nil
}

// serveCosts start the DHT of a server, by name. They return what counts its requests, and what
// ends it.
var serveCosts = map[string]func(h host.Host) (served func() uint64, end func() error, err error){
	"kad": func(h host.Host) (func() uint64, func() error, error) {
		d, err := kad.New(h, kad.Config{Network: costNetwork, Mode: kad.ModeServer})
		if err != nil {
			return nil, nil, err
		}
		return func() uint64 {
			s := d.Stats()
			return s.InboundFindNode + s.InboundGetValue
		}, d.Close, nil
	},
	"go-libp2p-kad-dht": func(h host.Host) (func() uint64, func() error, error) {
		d, err := dht.New(h, dht.ProtocolPrefix(costNetwork), dht.Mode(dht.ModeServer))
		if err != nil {
			return nil, nil, err
		}
		return func() uint64 { return 0 }, d.Close, nil // it counts none
	},
}

// A costs is a server in a process of its own, and the way to it, which counts bytes of TCP.
type costs struct {
	addr  peer.AddrInfo
	in    io.Writer
	out   *bufio.Reader
	bytes atomic.Int64
}

// talk starts a process, and returns its standard input and output. It is to end with its input,
// which ends with the test.
func talk(tb testing.TB, cmd *exec.Cmd) (io.WriteCloser, *bufio.Reader) {
	tb.Helper()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return in, bufio.NewReader(out)
}

// startCosts starts a server of a kind, see serveCosts, that listens as it is told.
func startCosts(b *testing.B, kind, listen string) *costs {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=TestCostServer")
	cmd.Env = append(os.Environ(), costServer+"="+kind, costListen+"="+listen, costBench+"="+filepath.Base(b.Name()))
	c := new(costs)
	c.in, c.out = talk(b, cmd)
	line, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	addr, err := peer.AddrInfoFromString(line[:len(line)-1])
	if err != nil {
		b.Fatal(err)
	}
	if listen != overTCP {
		c.addr = *addr
		return c
	}
	port, err := addr.Addrs[0].ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		b.Fatal(err)
	}
	c.addr = peer.AddrInfo{ID: addr.ID, Addrs: []multiaddr.Multiaddr{c.proxy(b, "127.0.0.1:"+port)}}
	return c
}

// proxy listens for connections, and passes on and counts what they carry to and from an
// address.
func (c *costs) proxy(b *testing.B, to string) multiaddr.Multiaddr {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var conns sync.WaitGroup
	pass := func(dst, src net.Conn) {
		defer dst.Close()
		for buf := make([]byte, 64<<10); ; {
			n, err := src.Read(buf)
			c.bytes.Add(int64(n))
			if err != nil {
				return
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	conns.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			conns.Go(func() { pass(far, near) })
			conns.Go(func() { pass(near, far) })
		}
	})
	b.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port))
}

// used returns what the server has used.
func (c *costs) used(b *testing.B) (u usage) {
	b.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Fscanln(c.out, &u.cpu, &u.requests); err != nil {
		b.Fatal(err)
	}
	return u
}

// TestCostServer is the process of the server of [BenchmarkServerCost], and no test.
func TestCostServer(t *testing.T) {
	if os.Getenv(costServer) == "" {
		t.Skip("it is the server of BenchmarkServerCost")
	}
	if err := serveCost(); err != nil {
		t.Fatal(err)
	}
}

// What a request costs the server that is asked, which runs in a process of its own: its CPU,
// and the bytes on the wire in both directions. The gets of a DHT are compared with requests
// that have a stream each, with requests on one stream, over TCP and QUIC, and with the limit, an
// echo of as many bytes, also of one that is asked as seldom as by lookups. The same requests to a
// server of go-libp2p-kad-dht come beside them.
func BenchmarkServerCost(b *testing.B) {
	for _, bench := range []struct {
		name, server, listen string
		ask                  func(b *testing.B, h host.Host, server peer.AddrInfo) (client func() func(key []byte) error)
	}{
		{"echo", "kad", overTCP, onOneStream(echoProtocol)},
		{"echo-stream-each", "kad", overTCP, onStreams(echoProtocol)},
		{"echo-seldom", "kad", overTCP, seldom(onOneStream(echoProtocol))},
		{"dht", "kad", overTCP, askDHT},
		{"one-stream", "kad", overTCP, onOneStream(costProtocol)},
		{"stream-each", "kad", overTCP, onStreams(costProtocol)},
		{"incumbent-one-stream", "go-libp2p-kad-dht", overTCP, onOneStream(costProtocol)},
		{"incumbent-stream-each", "go-libp2p-kad-dht", overTCP, onStreams(costProtocol)},
		{"echo-quic", "kad", overQUIC, onOneStream(echoProtocol)},
		{"one-stream-quic", "kad", overQUIC, onOneStream(costProtocol)},
		{"incumbent-one-stream-quic", "go-libp2p-kad-dht", overQUIC, onOneStream(costProtocol)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := startCosts(b, bench.server, bench.listen)
			h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			if err := h.Connect(b.Context(), c.addr); err != nil {
				b.Fatal(err)
			}
			client := bench.ask(b, h, c.addr)
			ask := client()
			key := append([]byte("/v/"), make([]byte, 29)...)
			for range 100 {
				_, _ = rand.Read(key[3:])
				if err := ask(key); err != nil {
					b.Fatal(err)
				}
			}
			endProfile, err := profiled(bench.name + ".client")
			if err != nil {
				b.Fatal(err)
			}
			began, bytes := c.used(b), c.bytes.Load()
			b.SetParallelism(costClients / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				ask, key := client(), slices.Clone(key)
				for pb.Next() {
					_, _ = rand.Read(key[3:])
					if err := ask(key); err != nil {
						b.Error(err)
						return
					}
				}
			})
			ended := c.used(b)
			if err := endProfile(); err != nil {
				b.Fatal(err)
			}
			requests := float64(ended.requests - began.requests)
			if requests == 0 { // the server counts none: one for each op
				requests = float64(b.N)
			}
			b.ReportMetric(float64(ended.cpu-began.cpu)/requests, "server-µs/request")
			if bench.listen == overTCP {
				b.ReportMetric(float64(c.bytes.Load()-bytes)/requests, "wire-B/request")
			}
			b.ReportMetric(requests/float64(b.N), "requests/op")
		})
	}
}

// onOneStream returns what asks a server on one stream for each client.
func onOneStream(id lprotocol.ID) func(b *testing.B, h host.Host, server peer.AddrInfo) func() func(key []byte) error {
	return func(_ *testing.B, h host.Host, server peer.AddrInfo) func() func([]byte) error {
		return func() func([]byte) error { return newAsker(h, server.ID, id).ask }
	}
}

// lookupTime is about as long as the client of a lookup with one request works on it.
const lookupTime = 100 * time.Microsecond

// seldom returns what asks as ask does, and works as long as a lookup before each request: a
// server that is not always busy waits for its poller, and writes each answer by itself.
func seldom(ask func(*testing.B, host.Host, peer.AddrInfo) func() func([]byte) error) func(*testing.B, host.Host, peer.AddrInfo) func() func([]byte) error {
	return func(b *testing.B, h host.Host, server peer.AddrInfo) func() func([]byte) error {
		client := ask(b, h, server)
		return func() func([]byte) error {
			once := client()
			return func(key []byte) error {
				for began := time.Now(); time.Since(began) < lookupTime; {
				}
				return once(key)
			}
		}
	}
}

// onStreams returns what asks a server on a stream for each request.
func onStreams(id lprotocol.ID) func(b *testing.B, h host.Host, server peer.AddrInfo) func() func(key []byte) error {
	return func(_ *testing.B, h host.Host, server peer.AddrInfo) func() func([]byte) error {
		return func() func([]byte) error {
			return func(key []byte) error { return newAsker(h, server.ID, id).once(key) }
		}
	}
}

// askDHT returns the get of a DHT that knows one server.
func askDHT(b *testing.B, h host.Host, server peer.AddrInfo) func() func(key []byte) error {
	b.Helper()
	d, err := kad.New(h, kad.Config{
		Network: costNetwork, Mode: kad.ModeClient, Bootstrap: []peer.AddrInfo{server},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	if err := d.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	ask := func(key []byte) error {
		_, err := d.ClosestPeers(b.Context(), key)
		return err
	}
	return func() func([]byte) error { return ask }
}

// An asker asks a server for values, without a DHT.
type asker struct {
	host host.Host
	to   peer.ID
	id   lprotocol.ID

	stream     network.Stream
	r          *bufio.Reader
	frame, buf []byte
}

func newAsker(h host.Host, to peer.ID, id lprotocol.ID) *asker {
	return &asker{host: h, to: to, id: id}
}

// ask sends a request, and reads the answer.
func (a *asker) ask(key []byte) (err error) {
	if a.stream == nil {
		if a.stream, err = a.host.NewStream(context.Background(), a.to, a.id); err != nil {
			return err
		}
		a.r = bufio.NewReader(a.stream)
	}
	a.frame = protocol.AppendRequestFrame(a.frame[:0], protocol.FindNode{Target: key})
	if _, err := a.stream.Write(a.frame); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	a.buf, err = protocol.ReadFrameInto(a.r, a.buf, protocol.MaxFrame)
	if err == nil && a.id == echoProtocol && !bytes.HasSuffix(a.frame, a.buf) {
		return fmt.Errorf("echoed %x, not %x", a.buf, a.frame)
	}
	return err
}

// once sends a request on a stream of its own, and reads the answer.
func (a *asker) once(key []byte) error {
	err := a.ask(key)
	if a.stream != nil {
		_ = a.stream.Close()
	}
	return err
}
