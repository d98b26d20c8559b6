// Package tracing shows what the operations of a DHT consist of, as spans of OpenTelemetry:
//
//	kad.New(h, kad.Config{Network: "/chat", Tracer: tracing.New(otel.GetTracerProvider())})
//
// An operation, such as kad.get, is a span, below that of the context that it is given. Below
// it are its lookups, kad.lookup, and below those, or the operation, the requests to peers,
// kad.request. A request of a peer that is answered is a span of its own, kad.serve. Attributes are
//
//	kad.outcome                                          how it ended, as the metrics name it
//	kad.type                                             of a lookup or a request, sent or served: find_node, get_value, ...
//	kad.target, kad.requests, kad.answered, kad.hops, kad.confidence   of a lookup
//	kad.peer                                             of a request: the peer that is asked, or that asks
//
// What the node does by itself, for example publish again, has no operation: its lookups and
// requests are at the top. An idle node in a network of 1 000 sends some requests a minute,
// and a lookup sends some 40, so use a provider that samples. A DHT without a Tracer does no
// work for all this, and does not link OpenTelemetry.
package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	kad "github.com/go-kad/kad/host"
)

// name is the instrumentation scope of the spans.
const name = "github.com/go-kad/kad"

// New returns a Tracer that begins spans of a provider.
func New(provider trace.TracerProvider) kad.Tracer {
	tracer := provider.Tracer(name)
	return func(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, func(error, ...slog.Attr)) {
		ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(kind(name)), trace.WithAttributes(attributes(attrs)...))
		return ctx, func(err error, attrs ...slog.Attr) {
			if span.IsRecording() {
				span.SetAttributes(attributes(attrs)...)
				if err != nil {
					span.SetStatus(codes.Error, err.Error())
				}
			}
			span.End()
		}
	}
}

// kind returns the kind of a span.
func kind(name string) trace.SpanKind {
	switch name {
	case "kad.request":
		return trace.SpanKindClient
	case "kad.serve":
		return trace.SpanKindServer
	default:
		return trace.SpanKindInternal
	}
}

// attributes returns attributes as OpenTelemetry has them.
func attributes(attrs []slog.Attr) []attribute.KeyValue {
	list := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		switch a.Value.Kind() {
		case slog.KindInt64:
			list[i] = attribute.Int64(a.Key, a.Value.Int64())
		case slog.KindFloat64:
			list[i] = attribute.Float64(a.Key, a.Value.Float64())
		default:
			list[i] = attribute.String(a.Key, a.Value.String())
		}
	}
	return list
}
