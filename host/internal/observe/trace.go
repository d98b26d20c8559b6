package observe

import (
	"context"
	"log/slog"
)

// A Tracer begins a span with a name and attributes: see host.Tracer.
type Tracer func(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, func(err error, attrs ...slog.Attr))

// Traced reports whether there is a Tracer. Rooms make the attributes of a span only then.
func (o *Observer) Traced() bool { return o != nil && o.tracer != nil }

// Span begins a span. Call it only if Traced.
func (o *Observer) Span(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, func(err error, attrs ...slog.Attr)) {
	return o.tracer(ctx, name, attrs...)
}
