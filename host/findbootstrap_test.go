package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// A registry names bootstrap peers as they are at the moment.
type registry struct {
	mu    sync.Mutex
	peers []peer.AddrInfo
	err   error
	calls int
}

func (r *registry) find(context.Context) ([]peer.AddrInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	return r.peers, r.err
}

func (r *registry) set(err error, peers ...peer.AddrInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers, r.err = peers, err
}

// count returns how often the registry was asked.
func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Bootstrap peers that a function names are named anew at each attempt: a node joins when
// they are known, and through others when the first ones are gone. Why the function fails is
// said.
func TestFindBootstrap(t *testing.T) { synctest.Test(t, testFindBootstrap) }

func testFindBootstrap(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	old, other := n.Add(2, kad.Config{}), n.AddHosts(1)[0]
	n.Settle()
	down := errors.New("the registry is down")
	r := &registry{err: down}
	cfg := kad.Config{Network: "/kadtest", FindBootstrap: r.find}
	d, err := kad.New(other.Host, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var notReady *kad.NotReadyError
	if err := d.Ready(t.Context()); !errors.As(err, &notReady) || !errors.Is(err, down) || !strings.Contains(err.Error(), "the registry is down") {
		t.Errorf("Ready() = %v, want why the function fails", err)
	}
	r.set(nil, other.Info())
	if err := d.Bootstrap(t.Context()); !errors.As(err, &notReady) || notReady.Bootstrap != 0 {
		t.Errorf("with itself alone: %v", err)
	}
	r.set(nil, old[0].Info(), peer.AddrInfo{ID: old[1].DHT.ID()}, other.Info()) // one without an address, and itself
	time.Sleep(time.Minute)
	if err := d.Ready(t.Context()); err != nil || d.Stats().Contacts != 2 {
		t.Errorf("Ready() = %v, %d contacts", err, d.Stats().Contacts)
	}

	n.Kill(old...)
	fresh := n.Add(2, kad.Config{})
	r.set(nil, fresh[1].Info())
	time.Sleep(5 * time.Minute)
	if got := d.Stats(); got.Contacts-got.Suspects < 2 {
		t.Errorf("%d contacts, %d of them suspects; want those that are named now", got.Contacts, got.Suspects)
	}
	r.set(down)
	time.Sleep(time.Hour)
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("the function fails while there are contacts: %v", err)
	}
	before := r.count()
	time.Sleep(time.Hour)
	if calls := r.count() - before; calls > 130 {
		t.Errorf("the function was called %d times in an hour", calls)
	}
}
