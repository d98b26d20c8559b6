package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxRecent bounds the messages that are repeated.
const maxRecent = 50

// ErrInvalid is returned when TopicConfig.Validate refuses a message.
var ErrInvalid = errors.New("gossip: the message is not valid")

// Publish sends a message to all peers of the topic. If none is there, the message is
// kept for the first that comes.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if t.cfg.Validate != nil && !t.cfg.Validate(t.node.host.ID(), data) {
		return ErrInvalid
	}
	var failed error
	err := t.do(ctx, func() {
		if t.count.Load() > 0 || t.cfg.Keep < 0 {
			failed = t.publish(ctx, data)
			return
		}
		if len(t.kept) == t.cfg.Keep {
			t.kept = slices.Delete(t.kept, 0, 1)
			t.notify(Event{Kind: Dropped})
		}
		t.kept = append(t.kept, slices.Clone(data))
		t.notify(Event{Kind: Kept, N: len(t.kept)})
	})
	if err != nil {
		return err
	}
	return failed
}

// publish sends a message with the next number. Only the owner calls it.
func (t *Topic) publish(ctx context.Context, data []byte) error {
	f := frame{kind: frameMessage, session: t.session, number: t.sent + 1, data: data}.marshal()
	if err := t.send(ctx, f); err != nil {
		return fmt.Errorf("gossip: publishing: %w", err)
	}
	t.sent++
	if len(t.recent) == maxRecent {
		t.recent = slices.Delete(t.recent, 0, 1)
	}
	t.recent = append(t.recent, f)
	return nil
}

// send hands a frame to pubsub.
func (t *Topic) send(ctx context.Context, f []byte) error {
	return t.node.links.publish(func() error { return t.topic.Publish(ctx, f) })
}

// publishRecent repeats the last messages. Peers that have received them drop them.
func (t *Topic) publishRecent() {
	for _, f := range t.recent {
		_ = t.send(t.ctx, f) // fails only if the node is closing
	}
}

// publishKept sends the messages that were kept.
func (t *Topic) publishKept() {
	sent := 0
	for len(t.kept) > 0 && t.publish(t.ctx, t.kept[0]) == nil {
		t.kept = t.kept[1:]
		sent++
	}
	if sent > 0 {
		t.notify(Event{Kind: Sent, N: sent})
	}
	t.reportFlushed()
}

// Flush waits until no message is kept, as long as ctx. If that ends first, Flush returns
// how many are, and the cause.
func (t *Topic) Flush(ctx context.Context) (kept int, err error) {
	flushed := make(chan struct{})
	if err = t.do(ctx, func() {
		t.flushed = append(t.flushed, flushed)
		t.reportFlushed()
	}); err == nil {
		select {
		case <-flushed:
			return 0, nil
		case <-t.done:
			return 0, ErrClosed
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	_ = t.do(context.WithoutCancel(ctx), func() {
		t.flushed = slices.DeleteFunc(t.flushed, func(c chan<- struct{}) bool { return c == flushed })
		kept = len(t.kept)
	})
	return kept, err
}

// reportFlushed ends the calls of Flush if nothing is kept.
func (t *Topic) reportFlushed() {
	if len(t.kept) > 0 {
		return
	}
	for _, c := range t.flushed {
		close(c)
	}
	t.flushed = nil
}
