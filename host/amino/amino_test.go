package amino

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// The preset of the public IPFS network is valid, and as that network wants it.
func TestConfig(t *testing.T) { synctest.Test(t, testConfig) }

func testConfig(t *testing.T) {
	cfg := Config()
	cfg.Mode = kad.ModeServer
	h := kadtest.New(t, kadtest.Config{}).AddHosts(1)[0].Host
	d, err := kad.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !slices.Contains(h.Mux().Protocols(), "/ipfs/kad/1.0.0") || cfg.K != 20 {
		t.Errorf("serves %v, k %d", h.Mux().Protocols(), cfg.K)
	}
	for _, ns := range []string{"pk", "ipns"} {
		if cfg.Validators[ns] == nil {
			t.Errorf("no validator for %s", ns)
		}
	}
	if len(cfg.Bootstrap) < 4 {
		t.Errorf("%d bootstrap peers", len(cfg.Bootstrap))
	}
	for _, p := range cfg.Bootstrap {
		if !slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool { return manet.IsPublicAddr(a) }) {
			t.Errorf("%v has no public address", p)
		}
	}
}
