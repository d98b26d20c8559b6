package dht

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// When few or no peers answer, each method says why, and none says "not found". A channel says
// it by the query events.
func TestNobodyAnswers(t *testing.T) { synctest.Test(t, testNobodyAnswers) }

func testNobodyAnswers(t *testing.T) {
	serves := func(int) []Option { return []Option{ProtocolPrefix("/truth"), Mode(ModeServer)} }
	for name, want := range map[string][]error{
		"they have nothing": {lrouting.ErrNotFound},
		"dead":              {kad.ErrUnanswered, kad.ErrNoContacts},
		"silent":            {kad.ErrUnanswered, kad.ErrNoContacts},
		"never met":         {kad.ErrNoContacts},
		"closed":            {kad.ErrClosed},
		"ended":             {context.Canceled},
		"late":              {context.DeadlineExceeded},
	} {
		net := kadtest.New(t, kadtest.Config{})
		hosts := net.AddHosts(5)
		nodes := startNodes(t, hosts[:4], serves)
		time.Sleep(10 * time.Second)
		d, others, nobody := nodes[3], hosts[:3], hosts[4].ID()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		switch name {
		case "dead":
			net.Kill(others...)
		case "silent":
			net.Silence(others...)
		case "never met":
			net.Kill(hosts[:4]...)
			d, nobody = startNodes(t, hosts[4:], func(int) []Option { return append(serves(0), BootstrapPeers(hosts[0].Info())) })[0], hosts[3].ID()
		case "closed":
			_ = d.Close()
		case "ended":
			cancel()
		case "late":
			net.Silence(others...)
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		}
		for method, err := range sayings(ctx, t, d, nobody) {
			none := name == "they have nothing"
			is := func(target error) bool { return errors.Is(err, target) }
			if none && err == nil && method != "GetValue" && method != "FindPeer" {
				continue
			}
			if !slices.ContainsFunc(want, is) || is(lrouting.ErrNotFound) != none {
				t.Errorf("%s: %s: %v; want %v", name, method, err, want)
			}
		}
		for channel, look := range searches(t, d, nobody) {
			if said := lastError(ctx, look); strings.Contains(said, "too few") != (name == "dead") {
				t.Errorf("%s: the last query event of %s says %q", name, channel, said)
			}
		}
		cancel()
	}
}

// sayings returns the error of each method of a node, where there is nothing to be found.
func sayings(ctx context.Context, t *testing.T, d *IpfsDHT, nobody peer.ID) map[string]error {
	t.Helper()
	content, err := kad.NamespaceCID("content")
	if err != nil {
		t.Fatal(err)
	}
	_, get := d.GetValue(ctx, lrouting.KeyForPublicKey(nobody))
	_, find := d.FindPeer(ctx, nobody)
	_, closest := d.GetClosestPeers(ctx, "key")
	_, providers := d.FindProviders(ctx, content)
	return map[string]error{"GetValue": get, "FindPeer": find, "GetClosestPeers": closest, "FindProviders": providers, "Provide": d.Provide(ctx, content, true)}
}

// searches are methods of a node whose channel cannot say an error.
func searches(t *testing.T, d *IpfsDHT, nobody peer.ID) map[string]func(ctx context.Context) {
	t.Helper()
	content, err := kad.NamespaceCID("content")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(ctx context.Context){
		"FindProvidersAsync": func(ctx context.Context) {
			for p := range d.FindProvidersAsync(ctx, content, 0) {
				t.Errorf("FindProvidersAsync yields %v", p)
			}
		},
		"SearchValue": func(ctx context.Context) {
			values, err := d.SearchValue(ctx, lrouting.KeyForPublicKey(nobody))
			if err != nil {
				return
			}
			for v := range values {
				t.Errorf("SearchValue yields %q", v)
			}
		},
	}
}

// lastError returns the last error without a peer that the query events of a search say.
func lastError(ctx context.Context, search func(context.Context)) (said string) {
	ctx, cancel := context.WithCancel(ctx)
	ctx, events := lrouting.RegisterForQueryEvents(ctx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for e := range events {
			if e.Type == lrouting.QueryError && e.ID == "" {
				said = e.Extra
			}
		}
	}()
	search(ctx)
	cancel()
	<-read
	return said
}

// A ping ends where the peer does not answer, and with Close, whatever its context.
func TestPing(t *testing.T) { synctest.Test(t, testPing) }

func testPing(t *testing.T) {
	net := kadtest.New(t, kadtest.Config{})
	hosts := net.AddHosts(2)
	nodes := startNodes(t, hosts, func(int) []Option { return []Option{ProtocolPrefix("/ping")} })
	hosts[0].Host.SetStreamHandler(ping.ID, (&ping.PingService{Host: hosts[0].Host}).PingHandler)
	d, other := nodes[1], hosts[0].ID()
	if err := d.Ping(t.Context(), other); err != nil {
		t.Errorf("a peer that answers: %v", err)
	}
	hosts[0].Host.SetStreamHandler(ping.ID, func(s network.Stream) { time.Sleep(time.Minute); _ = s.Reset() })
	began := time.Now()
	if err := d.Ping(t.Context(), other); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 11*time.Second {
		t.Errorf("a peer that does not answer: %v after %v", err, time.Since(began))
	}
	time.AfterFunc(time.Second, func() { _ = d.Close() })
	began = time.Now()
	if err := d.Ping(t.Context(), other); !errors.Is(err, kad.ErrClosed) || time.Since(began) > 2*time.Second {
		t.Errorf("while the DHT is closed: %v after %v", err, time.Since(began))
	}
	if err := d.Bootstrap(t.Context()); !errors.Is(err, kad.ErrClosed) {
		t.Errorf("Bootstrap of a closed DHT: %v", err)
	}
}
