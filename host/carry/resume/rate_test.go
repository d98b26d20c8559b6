package resume

import (
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

const (
	rateSize   = 64 << 20
	rateRounds = 6

	leastRate = 0.25
)

// A stream has a rate near that of a bare stream of libp2p on the same connection: at least
// 0.8 of it over QUIC on a machine that does nothing else. The best of some rounds counts,
// which take turns. On a busy machine, each change of goroutines takes long, and a stream has
// more of them: the bound is lower, and there are more rounds while it is not reached.
func TestRate(t *testing.T) {
	if testing.Short() || roomtest.RaceEnabled {
		t.Skip("measures")
	}
	for name, hosts := range map[string]func() lhost.Host{
		"TCP": func() lhost.Host { return pathtest.Host(t) },
		"QUIC": func() lhost.Host {
			h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close() })
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			ann, bob := hosts(), hosts()
			pathtest.Direct(t, ann, bob)
			ends := make(chan struct{})
			count := func(r io.Reader) {
				_, _ = io.Copy(io.Discard, r)
				ends <- struct{}{}
			}
			bob.SetStreamHandler("/test/bare", func(s network.Stream) {
				count(s)
				_ = s.Close()
			})
			accepts := New(bob, testProtocol, Config{Window: 8 << 20, Accept: func(s *Stream) { count(s) }})
			opens := New(ann, testProtocol, Config{Window: 8 << 20})
			defer accepts.Close()
			defer opens.Close()
			took := func(w io.Writer, end func() error) time.Duration {
				began := time.Now()
				chunk := noise(1 << 20)
				for range rateSize / len(chunk) {
					if _, err := w.Write(chunk); err != nil {
						t.Fatal(err)
					}
				}
				_ = end()
				<-ends
				return time.Since(began)
			}
			bare, resumed := time.Hour, time.Hour
			ratio := func() float64 { return float64(bare) / float64(resumed) }
			for round := 0; round < rateRounds || ratio() < leastRate && round < 4*rateRounds; round++ {
				s, err := ann.NewStream(t.Context(), bob.ID(), "/test/bare")
				if err != nil {
					t.Fatal(err)
				}
				bare = min(bare, took(s, s.CloseWrite))
				r, err := opens.Open(t.Context(), bob.ID())
				if err != nil {
					t.Fatal(err)
				}
				resumed = min(resumed, took(r, r.CloseWrite))
			}
			t.Logf("bare %v, resumed %v: %.2f of the rate, %.0f MB/s", bare, resumed, ratio(), rateSize/1e6/resumed.Seconds())
			if ratio() < leastRate {
				t.Errorf("%.2f of the rate of a bare stream, want %v", ratio(), leastRate)
			}
		})
	}
}
