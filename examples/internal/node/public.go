package node

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// maxRouted bounds the questions of strangers that are answered at a time, and
	// maxRoutedEach those of one address. More are refused.
	maxRouted     = 64
	maxRoutedEach = 16

	// routedPatience is how long a stranger has to read an answer, once it is there.
	routedPatience = 30 * time.Second
)

// newPublicRouting returns what serves delegated routing to strangers: questions alone, also
// from web pages of any origin. What they could publish, the node would publish again for ever.
func newPublicRouting(answer http.Handler) http.Handler {
	turns := turns{by: make(map[string]int)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		switch {
		case !strings.HasPrefix(r.URL.Path, routingPath):
			refuse(w, http.StatusNotFound, "there is no %s here: delegated routing is below %s", r.URL.Path, routingPath)
		case r.Method == http.MethodOptions: // a browser asks what a page may send
			w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			w.Header().Set("Access-Control-Allow-Headers", "Accept, Content-Type")
			w.WriteHeader(http.StatusNoContent)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			refuse(w, http.StatusMethodNotAllowed, "this node answers questions alone: %s is for the API of a node of one's own", r.Method)
		default:
			from := share(r.RemoteAddr)
			if status := turns.take(from); status != 0 {
				w.Header().Set("Retry-After", "5")
				refuse(w, status, "the node answers up to %d questions at a time, %d of one address: ask again later", maxRouted, maxRoutedEach)
				return
			}
			defer turns.give(from)
			answer.ServeHTTP(w, r)
		}
	})
}

// turns are the questions that are being answered.
type turns struct {
	mu  sync.Mutex
	all int
	by  map[string]int // by share
}

// take takes a turn, unless the status of a refusal is returned.
func (t *turns) take(from string) (status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.by[from] >= maxRoutedEach && from != "":
		return http.StatusTooManyRequests
	case t.all >= maxRouted:
		return http.StatusServiceUnavailable
	}
	t.all++
	t.by[from]++
	return 0
}

// give gives a turn back.
func (t *turns) give(from string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.by[from]--; t.by[from] == 0 {
		delete(t.by, from)
	}
}

// share returns the network whose questions count together: an IPv4 address, or the /64 of an
// IPv6 one. It is empty for this machine, where a proxy asks for others, which is to bound
// their shares itself.
func share(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return ""
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}
