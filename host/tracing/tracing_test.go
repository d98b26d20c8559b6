package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	lnetwork "github.com/libp2p/go-libp2p/core/network"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/tracing"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anything accepts every value.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

// An operation is a span below that of its caller; its lookup is below it, and the requests
// of the lookup below that, each with its peer and its outcome.
func TestSpans(t *testing.T) { synctest.Test(t, testSpans) }

func testSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	cfg := kad.Config{Network: "/trace", Mode: kad.ModeServer, Validators: map[string]record.Validator{"v": anything{}}}
	network := kadtest.New(t, kadtest.Config{})
	network.Add(30, cfg)
	cfg.Tracer = tracing.New(provider)
	d := network.Add(1, cfg)[0].DHT
	network.Settle()

	for _, tt := range []struct {
		name, lookup string
		outcome      string
		call         func(context.Context) error
	}{
		{"kad.put", "find_node", "done", func(ctx context.Context) error {
			receipt, err := d.Put(ctx, "/v/key", []byte("value"))
			_, _ = receipt.Wait(ctx)
			return err
		}},
		{"kad.get", "get_value", "done", func(ctx context.Context) error {
			_, err := d.GetValue(ctx, "/v/key")
			return err
		}},
		{"kad.get", "get_value", "not_found", func(ctx context.Context) error {
			_, err := d.GetValue(ctx, "/v/other")
			return err
		}},
		{"kad.closest_peers", "find_node", "done", func(ctx context.Context) error {
			_, err := d.ClosestPeers(ctx, []byte("key of no value"))
			return err
		}},
	} {
		name := tt.name + " " + tt.outcome
		spans.Reset()
		ctx, user := provider.Tracer("test").Start(t.Context(), "user")
		err := tt.call(ctx)
		user.End()
		time.Sleep(20 * time.Second) // requests that are left end
		op := only(t, spans, tt.name, user.SpanContext().SpanID())
		if got := attr(op, "kad.outcome"); got != tt.outcome || (op.Status.Code == codes.Error) != (err != nil) {
			t.Errorf("%s: ended as %s, %v; the error is %v", name, got, op.Status, err)
		}
		lookup := only(t, spans, "kad.lookup", op.SpanContext.SpanID())
		if attr(lookup, "kad.type") != tt.lookup || attr(lookup, "kad.outcome") == "" || len(attr(lookup, "kad.target")) != 64 {
			t.Errorf("%s: the lookup has %v", name, lookup.Attributes)
		}
		asked := below(spans, "kad.request", lookup.SpanContext.SpanID())
		if want := attr(lookup, "kad.requests"); fmt.Sprint(len(asked)) != want || want == "0" {
			t.Errorf("%s: %d requests below a lookup of %s", name, len(asked), want)
		}
		for _, r := range asked {
			if attr(r, "kad.peer") == "" || attr(r, "kad.outcome") != "answered" || r.SpanKind != trace.SpanKindClient {
				t.Errorf("%s: a request has %v", name, r.Attributes)
			}
		}
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() == user.SpanContext().TraceID() && s.EndTime.Before(s.StartTime) {
				t.Errorf("%s: %s ended before it began", name, s.Name)
			}
		}
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A request of a peer is a span at the top, with the peer that asks.
func TestServedSpans(t *testing.T) { synctest.Test(t, testServedSpans) }

func testServedSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	cfg := kad.Config{Network: "/trace", Mode: kad.ModeServer, Validators: map[string]record.Validator{"v": anything{}}}
	network := kadtest.New(t, kadtest.Config{})
	asker := network.Add(1, cfg)[0].DHT
	cfg.Tracer = tracing.New(provider)
	cfg.OnRequest = func(_ lnetwork.Conn, req protocol.Request) error {
		if _, ok := req.(protocol.PutValue); ok {
			return errors.New("read only")
		}
		return nil
	}
	network.Add(1, cfg)
	network.Settle()
	spans.Reset()
	if err := asker.PutValue(t.Context(), "/v/key", []byte("value")); err == nil {
		t.Error("the value is stored")
	}
	want := map[string]string{"find_node": "answered", "put_value": "refused"}
	seen := make(map[string]bool)
	for _, s := range below(spans, "kad.serve", trace.SpanID{}) {
		kind, outcome := attr(s, "kad.type"), attr(s, "kad.outcome")
		if want[kind] != outcome || (s.Status.Code == codes.Error) != (outcome == "refused") {
			t.Errorf("%s is %s, %v", kind, outcome, s.Status)
		}
		if s.SpanKind != trace.SpanKindServer || attr(s, "kad.peer") != asker.ID().String() {
			t.Errorf("the span is %v of %v", s.SpanKind, s.Attributes)
		}
		seen[kind] = true
	}
	if len(seen) != len(want) {
		t.Errorf("there are spans of %v, want them of %v", seen, want)
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// only returns the one span of a name below another one.
func only(t *testing.T, spans *tracetest.InMemoryExporter, name string, parent trace.SpanID) tracetest.SpanStub {
	t.Helper()
	found := below(spans, name, parent)
	if len(found) != 1 {
		t.Fatalf("there are %d spans %s below their caller, want one", len(found), name)
	}
	return found[0]
}

// below returns the spans of a name below another one.
func below(spans *tracetest.InMemoryExporter, name string, parent trace.SpanID) (found []tracetest.SpanStub) {
	for _, s := range spans.GetSpans() {
		if s.Name == name && s.Parent.SpanID() == parent {
			found = append(found, s)
		}
	}
	return found
}

// attr returns an attribute of a span as text.
func attr(s tracetest.SpanStub, key attribute.Key) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}
