package call

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// Two hosts that dial each other at the same time over TCP are connected, though their two dials
// can become one connection with two clients.
func TestDialsThatCross(t *testing.T) {
	for name, security := range map[string]libp2p.Option{
		"TLS":   libp2p.Security(libp2ptls.ID, libp2ptls.New),
		"Noise": libp2p.Security(noise.ID, noise.New),
	} {
		t.Run(name, func(t *testing.T) {
			for range 30 {
				var hosts [2]lhost.Host
				for i := range hosts {
					h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), security, libp2p.DisableRelay(), libp2p.DisableMetrics())
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = h.Close() }()
					hosts[i] = h
				}
				var dialling sync.WaitGroup
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				for i, h := range hosts {
					other := hosts[1-i]
					h.Peerstore().AddAddrs(other.ID(), other.Addrs(), time.Hour)
					for range 2 {
						dialling.Go(func() {
							if err := Dial(ctx, h, other.ID()); err != nil {
								t.Error(err)
							}
						})
					}
				}
				dialling.Wait()
			}
		})
	}
}

// A dial is made again if all that answered were clients, too. What answers so at one of several
// addresses does not have the others dialled again.
func TestCrossed(t *testing.T) {
	client := fmt.Errorf("%s: error reading handshake message: noise: message is too short", handshake)
	for _, tt := range []struct {
		causes []error
		want   bool
	}{
		{[]error{client}, true},
		{[]error{client, syscall.ENETUNREACH, swarm.ErrDialBackoff}, true},
		{[]error{client, syscall.ECONNREFUSED}, false},
		{[]error{client, os.ErrDeadlineExceeded}, false},
		{[]error{fmt.Errorf("%s: EOF", handshake)}, false},
		{[]error{syscall.ENETUNREACH}, false},
		{nil, false},
	} {
		failed := &swarm.DialError{}
		for _, cause := range tt.causes {
			failed.DialErrors = append(failed.DialErrors, swarm.TransportError{Cause: cause})
		}
		if got := crossed(failed); got != tt.want {
			t.Errorf("%v: %v", tt.causes, got)
		}
	}
}
