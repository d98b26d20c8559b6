package net_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

const (
	// victimProcess is the variable of the environment that makes the test a node, which the
	// others attack.
	victimProcess = "KAD_VICTIM"

	victimProtocol = lprotocol.ID("/itest/kad/1.0.0")
	victimEcho     = lprotocol.ID("/itest/echo")
)

// serveVictim is the process of a node, on TCP and QUIC, within the default limits of a DHT and
// without those of a resource manager. It prints its ID and addresses, and its gauges for each
// line that it reads: "gc" has it collect garbage first, "reserve" with an address has it reserve a
// place at that relay, and an ID with an address has that peer be at the address, for the DHT. It
// has an echo besides.
func serveVictim() error {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"),
		libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(victimEcho, echo)
	at := &elsewhere{Host: h}
	d, err := kad.New(at, kad.Config{Network: "/itest", Mode: kad.ModeServer, Validators: map[string]record.Validator{"v": greatest{}}})
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Println(h.ID())
	for _, a := range h.Addrs() {
		fmt.Println(a)
	}
	fmt.Println()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "gc" {
			debug.FreeOSMemory()
		}
		switch what, addr, ok := strings.Cut(in.Text(), " "); {
		case what == "reserve":
			if err := reserve(h, addr); err != nil {
				return err
			}
		case ok:
			at.peers.Store(what, multiaddr.StringCast(addr))
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s := d.Stats()
		answered := s.InboundFindNode + s.InboundGetValue + s.InboundPutValue + s.InboundGetProviders + s.InboundAddProvider + s.InboundPing
		fmt.Println(m.HeapAlloc, resident(), runtime.NumGoroutine(), answered, s.InboundRefused, s.InboundStreams, s.Values, s.Providers)
	}
	return nil
}

// reserve reserves a place of a host at a relay.
func reserve(h host.Host, addr string) error {
	relay, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = client.Reserve(ctx, h, *relay)
	return err
}

// resident returns how many bytes of memory the process has; 0 where that is not known.
func resident() (bytes int) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(statm))[1])
	return pages * os.Getpagesize()
}

// TestVictim is the process of a node that is attacked, and no test.
func TestVictim(t *testing.T) {
	if os.Getenv(victimProcess) == "" {
		t.Skip("it is the node that others attack")
	}
	if err := serveVictim(); err != nil {
		t.Fatal(err)
	}
}

// A victim is a node in a process of its own.
type victim struct {
	id    peer.ID
	addrs []multiaddr.Multiaddr // of TCP, of QUIC, and of a relay if there is one

	mu  sync.Mutex
	in  io.Writer
	out *bufio.Reader
}

// gauges are what a victim says of itself.
type gauges struct {
	heap, resident, goroutines, answered, refused, streams, values, providers int
}

// handled returns how many requests were answered, or refused.
func (g gauges) handled() int { return g.answered + g.refused }

func (g gauges) String() string {
	return fmt.Sprintf("%d MiB in use, %d MiB resident, %d goroutines, %d streams, %d values, %d announcements",
		g.heap>>20, g.resident>>20, g.goroutines, g.streams, g.values, g.providers)
}

// startVictim starts a node, which ends with the test. If core is not empty, it has that
// processor only, and its goroutines one.
func startVictim(t *testing.T, core string) *victim {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.timeout=24h")
	cmd.Env = append(os.Environ(), victimProcess+"=1")
	if core != "" {
		cmd = exec.Command("taskset", append([]string{"-c", core}, cmd.Args...)...)
		cmd.Env = append(os.Environ(), victimProcess+"=1", "GOMAXPROCS=1")
	}
	v := new(victim)
	v.in, v.out = talk(t, cmd)
	line := func() string {
		text, err := v.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
	var err error
	if v.id, err = peer.Decode(line()); err != nil {
		t.Fatal(err)
	}
	for text := line(); text != ""; text = line() {
		v.addrs = append(v.addrs, multiaddr.StringCast(text))
	}
	return v
}

const (
	tcp     = "tcp"
	quic    = "quic-v1"
	circuit = "p2p-circuit" // through a relay, over TCP
)

// transports are what a running node is attacked over.
var transports = []string{tcp, quic, circuit}

// behindRelay has a victim be reached through a relay, too.
func (v *victim) behindRelay(t *testing.T) {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	room := relayv2.DefaultResources()
	room.MaxCircuits = 1 << 10
	relay, err := relayv2.New(h, relayv2.WithResources(room), relayv2.WithLimit(&relayv2.RelayLimit{Duration: time.Hour, Data: 1 << 40}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relay.Close()
		_ = h.Close()
	})
	at := fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())
	v.tell(t, "reserve "+at)
	v.addrs = append(v.addrs, multiaddr.StringCast(at+"/p2p-circuit"))
}

// info returns the ID of a victim and its addresses of a transport.
func (v *victim) info(transport string) peer.AddrInfo {
	info := peer.AddrInfo{ID: v.id}
	for _, a := range v.addrs {
		if strings.HasSuffix(a.String(), circuit) == (transport == circuit) && strings.Contains(a.String(), transport) {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info
}

// ask returns the gauges of a victim.
func (v *victim) ask(t *testing.T, collect bool) (g gauges) {
	t.Helper()
	line := ""
	if collect {
		line = "gc"
	}
	return v.tell(t, line)
}

// tell writes a line to a victim, and returns its gauges.
func (v *victim) tell(t *testing.T, line string) (g gauges) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, err := io.WriteString(v.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(v.out, &g.heap, &g.resident, &g.goroutines, &g.answered, &g.refused, &g.streams, &g.values, &g.providers); err != nil {
		t.Fatal(err)
	}
	return g
}

// attacker returns a host that is connected to a victim over a transport.
func (v *victim) attacker(t *testing.T, transport string) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Connect(ctx, v.info(transport)); err != nil {
		t.Fatal(err)
	}
	return h
}

// open opens a stream of the DHT from a host to a victim.
func (v *victim) open(t *testing.T, h host.Host) (network.Stream, error) {
	return v.openTo(t, h, victimProtocol)
}

// openTo opens a stream of a protocol.
func (v *victim) openTo(t *testing.T, h host.Host, id lprotocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "attack"), patience)
	defer cancel()
	return h.NewStream(ctx, v.id, id)
}
