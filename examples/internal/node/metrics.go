package node

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/metrics"
)

// newMetrics returns what answers GET /metrics: what is registered with ours, the metrics of
// d, and the ones of libp2p and of the process, which libp2p registers with the default
// registerer.
func newMetrics(d *kad.DHT, ours *prometheus.Registry) http.Handler {
	ours.MustRegister(metrics.New(d))
	return promhttp.HandlerFor(prometheus.Gatherers{ours, prometheus.DefaultGatherer}, promhttp.HandlerOpts{MaxRequestsInFlight: maxReaders})
}
