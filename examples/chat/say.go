package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// say sends a line to the room. If nobody is there, it is kept for the first
// who comes.
func (r *room) say(ctx context.Context, text string) error {
	if text = cleanText(text); text == "" {
		return nil
	}
	var failed error
	err := r.do(ctx, func() {
		if r.people.Load() > 0 {
			failed = r.publishLine(ctx, text)
			return
		}
		if len(r.kept) == maxKept {
			r.kept = r.kept[1:]
			r.notify(event{kind: eventLost})
		}
		r.kept = append(r.kept, text)
		r.notify(event{kind: eventKept, n: len(r.kept)})
	})
	if err != nil {
		return err
	}
	return failed
}

// publishLine sends a line to the room. Only the owner calls it.
func (r *room) publishLine(ctx context.Context, text string) error {
	m := message{Nick: r.nick, Text: text, No: r.said + 1}
	if err := r.publish(ctx, m); err != nil {
		return err
	}
	r.said++
	if len(r.recent) == maxRecent {
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	r.recent = append(r.recent, m)
	return nil
}

// sayAgain sends what was said lastly to who may have missed it. The others drop it.
func (r *room) sayAgain(ctx context.Context) {
	for _, m := range r.recent {
		_ = r.publish(ctx, m) // fails only if we are leaving
	}
}

// publish sends a message to the room. Only the owner calls it.
func (r *room) publish(ctx context.Context, m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := r.topic.Publish(ctx, data); err != nil {
		return fmt.Errorf("sending a line: %w", err)
	}
	return nil
}

// flush waits until no line is kept, as long as ctx. It returns how many are.
func (r *room) flush(ctx context.Context) int {
	flushed := make(chan struct{})
	if r.do(ctx, func() { r.flushed = append(r.flushed, flushed); r.tellFlushed() }) == nil {
		select {
		case <-flushed:
			return 0
		case <-ctx.Done():
		}
	}
	kept := 0
	_ = r.do(context.WithoutCancel(ctx), func() { kept = len(r.kept) }) // the owner lives until close
	return kept
}

// tellFlushed tells those who wait for it that nothing is kept.
func (r *room) tellFlushed() {
	if len(r.kept) > 0 {
		return
	}
	for _, c := range r.flushed {
		close(c)
	}
	r.flushed = nil
}
