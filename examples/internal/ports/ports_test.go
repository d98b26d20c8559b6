package ports

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A port of a libp2p host is in use, and one that nothing listens on is not.
func TestInUse(t *testing.T) {
	h, err := libp2p.New(libp2p.DisableRelay(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		t.Fatal(err)
	}
	taken := h.Network().ListenAddresses()
	for _, a := range taken {
		if err := InUse(a); err == nil || !strings.Contains(err.Error(), a.String()) {
			t.Errorf("InUse(%s) = %v", a, err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	free := append(taken, multiaddr.StringCast("/ip4/127.0.0.1/tcp/0"), multiaddr.StringCast("/dns/example.com/tcp/1"))
	if err := InUse(free...); err != nil {
		t.Error(err)
	}
}
