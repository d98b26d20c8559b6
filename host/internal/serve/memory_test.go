package serve

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// managed opens incoming streams of a protocol of the DHT in the scope of a peer.
func managed(rm network.ResourceManager, from peer.ID) (network.StreamManagementScope, error) {
	s, err := rm.OpenStream(from, network.DirInbound)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.SetProtocol(testProtocol), s.SetService(serviceName)); err != nil {
		s.Done()
		return nil, err
	}
	return s, nil
}

// newManager returns the resource manager of the smallest machine with these limits.
func newManager(t *testing.T, limits rcmgr.ScalingLimitConfig) network.ResourceManager {
	t.Helper()
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(0, 0)), rcmgr.WithMetricsDisabled())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rm.Close() })
	return rm
}

// reservable returns how much memory streams of many peers can reserve, 1 MiB each.
func reservable(t *testing.T, rm network.ResourceManager) (bytes int) {
	t.Helper()
	for i := range 100 {
		s, err := managed(rm, calltest.ID(i/16))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Done()
		if s.ReserveMemory(1<<20, network.ReservationPriorityHigh) == nil {
			bytes += 1 << 20
		}
	}
	return bytes
}

// admitted returns how many streams are admitted until one is refused, so many of each peer.
func admitted(rm network.ResourceManager, perPeer int) (streams int) {
	for ; streams < 1000; streams++ {
		s, err := managed(rm, calltest.ID(streams/perPeer))
		if err != nil {
			return streams
		}
		defer s.Done()
	}
	return streams
}

// The limits let a Server have all streams and the memory that it bounds itself, and not much
// more, also where two of them are on a host.
func TestAddLimits(t *testing.T) {
	limits := rcmgr.DefaultLimits
	without := reservable(t, newManager(t, limits))
	AddLimits(&limits, testProtocol, 256)
	with := reservable(t, newManager(t, limits))
	t.Logf("%d MiB can be reserved, %d without the limits", with>>20, without>>20)
	if with < maxMemory || with > managedMemory || without >= maxMemory {
		t.Errorf("%d bytes can be reserved, want %d to %d; %d without the limits", with, maxMemory, managedMemory, without)
	}
	for _, perPeer := range []int{1, 1000} {
		want := 2 * 256
		if perPeer > 1 {
			want = 2 * maxInboundPerPeer
		}
		if got := admitted(newManager(t, limits), perPeer); got != want {
			t.Errorf("%d streams are admitted, %d of a peer, want %d", got, perPeer, want)
		}
	}
	AddLimits(&limits, "/other/kad/1.0.0", 100)
	if got := limits.ServiceLimits[serviceName].BaseLimit.StreamsInbound; got != 2*356 {
		t.Errorf("two servers have %d streams, want %d", got, 2*356)
	}
}

// Once the memory is full, what is small has some of it, of a stream that has more than that; what
// is large has it only of a network, or else a peer, that has more.
func TestFullMemory(t *testing.T) {
	const mib = 1 << 20
	for name, tt := range map[string]struct {
		streams, networks int // which have the memory, equal parts
		own               int // streams that the newcomer has before, of minFair each
		newcomer          int // its network
		size              int
		want              bool
	}{
		"small, of a full network":         {16, 4, 0, 0, minFair, true},
		"large, of another network":        {16, 4, 0, 999, 4 * mib, true},
		"larger than that of each":         {16, 4, 0, 999, 17 * mib, false},
		"small, and so are all others":     {1024, 4, 0, 999, minFair, false},
		"small, and the others are larger": {512, 4, 0, 999, minFair, true},
		"small, of a peer with the most":   {504, 504, 16, 999, minFair, true},
		"larger, of a peer with the most":  {504, 504, 16, 999, minFair + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newNode(t, 2048)
				open := func(peer, network int) *inbound {
					_, far := roomtest.NewStream(roomtest.NewConn(d.host.ID(), nil), roomtest.NewConn(calltest.ID(peer), roomtest.Addrs(netAddr(network))[0]))
					return d.add(far, time.Now())
				}
				for range tt.own {
					if err := d.reserve(open(9999, tt.newcomer), minFair); err != nil {
						t.Fatal(err)
					}
				}
				each := (maxMemory - d.memory) / tt.streams
				for i := range tt.streams {
					if err := d.reserve(open(i, i%tt.networks), each); err != nil {
						t.Fatal(err)
					}
				}
				if got := d.Limits().Memory; got != 0 || d.memory != maxMemory {
					t.Errorf("the limit was reached %d times, with %d bytes", got, d.memory)
				}
				err := d.reserve(open(9999, tt.newcomer), tt.size)
				if ended := tt.own + tt.streams + 1 - d.Len(); (err == nil) != tt.want || tt.want != (ended > 0) {
					t.Errorf("it ends with %v, and %d other streams are ended", err, ended)
				}
				if got := d.Limits().Memory; got != 1 {
					t.Errorf("the limit was reached %d times, want once", got)
				}
			})
		})
	}
}
