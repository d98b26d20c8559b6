package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	// minRecent and maxRecent bound the messages that are repeated. Between the two,
	// maxRecentBytes bounds their bytes: the relays of other programs carry 128 KiB in all.
	minRecent      = 50
	maxRecent      = 256
	maxRecentBytes = 32 << 10

	// overhead is about what pubsub adds to a message: a signature, the peer ID and the topic.
	overhead = 200
)

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
		t.kept.add(slices.Clone(data))
		if n := t.kept.trim(1, t.cfg.Keep, maxKeptBytes); n > 0 {
			t.notify(Event{Kind: Dropped, N: n})
		}
		t.notify(Event{Kind: Kept, N: len(t.kept.messages)})
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
	t.recent.add(f)
	t.recent.trim(minRecent, maxRecent, maxRecentBytes)
	return nil
}

// send hands a frame to pubsub.
func (t *Topic) send(ctx context.Context, f []byte) error {
	return t.node.links.publish(func() error { return t.topic.Publish(ctx, f) })
}

// publishKept sends the messages that were kept.
func (t *Topic) publishKept() {
	sent := 0
	for len(t.kept.messages) > 0 && t.publish(t.ctx, t.kept.messages[0]) == nil {
		t.kept.drop()
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
		kept = len(t.kept.messages)
	})
	return kept, err
}

// reportFlushed ends the calls of Flush if nothing is kept.
func (t *Topic) reportFlushed() {
	if len(t.kept.messages) > 0 {
		return
	}
	for _, c := range t.flushed {
		close(c)
	}
	t.flushed = nil
}
