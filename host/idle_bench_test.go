package host_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"

	kad "github.com/go-kad/kad/host"
)

// BenchmarkIdle attaches a DHT to a host, and reports how many goroutines it has
// while it is idle (budget: 2), beside the time and memory of New and Close.
func BenchmarkIdle(b *testing.B) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	most := 0
	b.ReportAllocs()
	for b.Loop() {
		d, err := kad.New(h, kad.Config{Network: "/bench"})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = d.Bootstrap(b.Context()) // fails at once: it is alone, and from here on idle
		idle := ours()
		for range 20 { // what starting it has started ends meanwhile
			runtime.Gosched()
			idle = min(idle, ours())
		}
		most = max(most, idle)
		b.StartTimer()
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(most), "goroutines")
}

// ours counts the goroutines that run code of the package, or were started by
// it: the host has others, whose number changes by itself.
func ours() int {
	buf := make([]byte, 1<<20)
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "go-kad/kad/host") && !strings.Contains(stack, "BenchmarkIdle") {
			n++
		}
	}
	return n
}
