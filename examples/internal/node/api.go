package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/prometheus/client_golang/prometheus"

	kad "github.com/go-kad/kad/host"
)

// A node is what the API is about.
type node struct {
	host     lhost.Host
	dht      *kad.DHT
	settings settings
	started  time.Time

	providing providing
}

// An endpoint is one call of the API.
type endpoint struct {
	method, path string
	params       []string // that it takes, besides timeout
	operation    bool     // of the DHT: it may look something up
	handle       func(ctx context.Context, c *call) (answer, error)
}

// An answer is the JSON object that a call is answered with.
type answer map[string]any

// endpoints is the API.
func endpoints() []endpoint {
	return []endpoint{
		{http.MethodGet, "/v1/id", nil, false, identify},
		{http.MethodGet, "/v1/ready", nil, false, ready},
		{http.MethodGet, "/v1/table", nil, false, table},
		{http.MethodGet, "/v1/stats", nil, false, stats},
		{http.MethodGet, "/v1/diagnose", nil, true, diagnose},
		{http.MethodPost, "/v1/connect", []string{"addr", "id", "direct"}, true, connect},
		{http.MethodGet, "/v1/ping", []string{"addr", "id"}, true, pingPeer},
		{http.MethodGet, "/v1/closest", []string{"key", "keyhex"}, true, closest},
		{http.MethodGet, "/v1/peer", []string{"id"}, true, findPeer},
		{http.MethodPut, "/v1/value", []string{"key", "keyhex", "quorum"}, true, putValue},
		{http.MethodGet, "/v1/value", []string{"key", "keyhex", "quorum"}, true, getValue},
		{http.MethodDelete, "/v1/value", []string{"key", "keyhex"}, false, stopPublishing},
		{http.MethodGet, "/v1/values", []string{"key", "keyhex", "quorum"}, true, getValues},
		{http.MethodPost, providePath, []string{"cid"}, true, provide},
		{http.MethodGet, "/v1/provide/status", nil, false, provideStatus},
		{http.MethodDelete, providePath, []string{"cid"}, false, withdraw},
		{http.MethodGet, "/v1/providers", []string{"cid", "count"}, true, providers},
		{http.MethodPost, "/v1/advertise", []string{"ns"}, true, advertise},
		{http.MethodGet, "/v1/peers", []string{"ns", "count"}, true, rendezvous},
	}
}

// providePath is where contents are announced: one that is a parameter, or those in the body.
const providePath = "/v1/provide"

// errStopping ends what is under way when the node stops.
var errStopping = errors.New("the node is stopping")

// A server serves the API, and delegated routing to strangers.
type server struct {
	api, routing *http.Server
	cancel       context.CancelCauseFunc // ends the requests that are served
}

// newServer returns a server for the API of n. It ends when it is stopped, not
// with ctx, so that requests that are under way are told why they end.
func newServer(ctx context.Context, n *node) *server {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	serve := func(handler http.Handler, writeTimeout time.Duration) *http.Server {
		return &http.Server{
			Handler:           handler,
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       time.Minute,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
		}
	}
	registry := prometheus.NewRegistry()
	var routing http.Handler
	if n.settings.routing || n.settings.routingAt != "" {
		routing = newRouting(n.dht, registry)
	}
	return &server{
		api:     serve(newHandler(ctx, n, registry, routing), MaxTimeout+time.Minute),
		routing: serve(newPublicRouting(routing), defaultTimeout+routedPatience),
		cancel:  cancel,
	}
}

// stop ends the requests that are served, and the server with them.
func (s *server) stop() {
	s.cancel(errStopping)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout/2)
	defer cancel()
	for _, each := range []*http.Server{s.api, s.routing} {
		if each.Shutdown(ctx) != nil {
			_ = each.Close() // a client does not read its answer
		}
	}
}

// newHandler returns the API of n. What goes on without its client ends with ctx.
func newHandler(ctx context.Context, n *node, registry *prometheus.Registry, routing http.Handler) http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string) // by path
	slots, streams := make(chan struct{}, maxConcurrent), make(chan struct{}, maxStreams)
	for _, e := range endpoints() {
		methods[e.path] = append(methods[e.path], e.method)
		mux.HandleFunc(e.method+" "+e.path, func(w http.ResponseWriter, r *http.Request) {
			if e.path == providePath && !r.URL.Query().Has("cid") {
				n.streamed(ctx, w, r, e, streams)
				return
			}
			n.serve(w, r, e, slots)
		})
	}
	readers := make(chan struct{}, maxReaders)
	for path, stream := range map[string]func(http.ResponseWriter, *http.Request, chan struct{}){
		"/v1/events": n.streamEvents, "/v1/held": n.listHeld, // are no endpoints: their answers are no objects
	} {
		methods[path] = []string{http.MethodGet}
		mux.HandleFunc(http.MethodGet+" "+path, func(w http.ResponseWriter, r *http.Request) { stream(w, r, readers) })
	}
	methods["/metrics"] = []string{http.MethodGet}
	mux.Handle(http.MethodGet+" /metrics", newMetrics(n.dht, registry))
	if n.settings.routing {
		mux.Handle(routingPath, inTurn(routing, slots))
	}
	for path, file := range pagePaths() {
		mux.Handle(http.MethodGet+" "+path, servePage(file))
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			refuse(w, http.StatusMethodNotAllowed, "%s does not take %s: use %s", path, r.Method, strings.Join(allowed, " or "))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no %s in the API, such as /v1/id", r.URL.Path)
	})
	host, _, _ := net.SplitHostPort(n.settings.api) // was checked
	return authorize(guard(mux, n.settings.apiAny), n.settings.token, isLoopback(host))
}

// guard keeps web pages in a browser on this machine away from the API. They
// could call it from a foreign origin, which costs lookups even if the page cannot read
// the answer, or read from it under a name of theirs that resolves to the loopback
// interface.
func guard(next http.Handler, anyHost bool) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !anyHost && !isLoopback(hostname(r.Host)) {
			refuse(w, http.StatusForbidden, "the Host header is %q: use a loopback address, such as 127.0.0.1", r.Host)
			return
		}
		unsafe := *r
		unsafe.Method = http.MethodPost // Check lets a GET of another origin pass, since it changes nothing
		if err := origins.Check(&unsafe); err != nil {
			refuse(w, http.StatusForbidden, "refused: %v", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns a Host header without the port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// maxConcurrent bounds the operations that are under way; more of them wait.
const maxConcurrent = 256

// serve answers one call.
func (n *node) serve(w http.ResponseWriter, r *http.Request, e endpoint, slots chan struct{}) {
	start := time.Now()
	c, err := newCall(n, w, r, e.params)
	var body answer
	ctx := r.Context()
	var trace *kad.Trace
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
		if e.operation {
			ctx, trace = kad.WithTrace(ctx)
		}
		body, err = limited(ctx, e, c, slots)
	}
	if body == nil {
		body = answer{}
	}
	var cost kad.LookupStats
	if trace != nil {
		cost = trace.Stats()
		body["lookup"] = answer{
			"requests": cost.Requests, "hops": cost.Hops, "answered": cost.Answered, "refused": cost.Refused, "late": cost.Late,
			"failed": cost.Requests - cost.Answered - cost.Refused - cost.Late,
		}
	}
	elapsed := time.Since(start).Milliseconds()
	body["elapsed_ms"] = elapsed
	switch {
	case err != nil:
		body["error"] = OneLine(err)
		write(w, statusOf(ctx, err), body)
	case c.raw != nil:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Elapsed-Ms", fmt.Sprint(elapsed))
		w.Header().Set("X-Lookup", fmt.Sprintf("requests=%d;hops=%d;answered=%d", cost.Requests, cost.Hops, cost.Answered))
		_, _ = w.Write(c.raw)
	default:
		write(w, http.StatusOK, body)
	}
}

// limited calls the endpoint, when its turn has come.
func limited(ctx context.Context, e endpoint, c *call, slots chan struct{}) (answer, error) {
	if err := c.readBody(); err != nil { // a client that sends slowly holds no slot
		return nil, err
	}
	if e.operation {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return e.handle(ctx, c)
}

// An argumentError says what is wrong with a parameter.
type argumentError struct{ text string }

func (e *argumentError) Error() string { return e.text }

// badArgument returns an [*argumentError].
func badArgument(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// A peerError is the failure of a peer.
type peerError struct{ error }

func (e *peerError) Unwrap() error { return e.error }

// statusOf returns the status of a failure of an operation with ctx.
func statusOf(ctx context.Context, err error) int {
	put, sent := errors.AsType[*kad.PutError](err)
	switch {
	case isA[*argumentError](err):
		return http.StatusBadRequest
	case isA[*kad.NotReadyError](err), errors.Is(err, kad.ErrClosed), errors.Is(context.Cause(ctx), errStopping):
		return http.StatusServiceUnavailable
	case !sent && refused(err): // by ourselves
		return http.StatusConflict
	case errors.Is(err, kad.ErrNotFound):
		return http.StatusNotFound
	case ctx.Err() != nil:
		return http.StatusGatewayTimeout
	case sent && allRefused(put.Receipt):
		return http.StatusConflict
	case sent, errors.Is(err, kad.ErrUnanswered), isA[*peerError](err):
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// refused reports whether err is the refusal of a record by a validator.
func refused(err error) bool {
	return errors.Is(err, kad.ErrInvalidRecord) || errors.Is(err, kad.ErrOldRecord)
}

// allRefused reports whether nobody stored a record because all found it wanting.
func allRefused(r kad.Receipt) bool {
	if len(r.Stored) > 0 || len(r.Failed) == 0 {
		return false
	}
	reasons := make([]error, 0, len(r.Failed))
	for _, err := range r.Failed {
		reasons = append(reasons, err)
	}
	return !slices.ContainsFunc(reasons, func(err error) bool { return !refused(err) })
}

// refuse answers a request that is not for any endpoint.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	write(w, status, answer{"error": fmt.Sprintf(format, args...)})
}

// write writes an answer.
func write(w http.ResponseWriter, status int, body answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
