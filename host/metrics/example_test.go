package metrics_test

import (
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/prometheus/client_golang/prometheus"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/metrics"
)

// A program registers the metrics of its DHT where it registers others.
func ExampleNew() {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		panic(err)
	}
	defer h.Close()
	d, err := kad.New(h, kad.Config{Network: "/example", Mode: kad.ModeServer})
	if err != nil {
		panic(err)
	}
	defer d.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(d))
	families, err := registry.Gather()
	for _, f := range families {
		if f.GetName() == "kad_server" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetGauge().GetValue(), err)
		}
	}
	// Output: kad_server 1 <nil>
}
