package holder

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
)

// ErrEnough ends a walk through the store whose reader wants no more.
var ErrEnough = errors.New("kad: the reader of the store wants no more")

// An Entry is a value or an announcement that is held: see host.Held.
type Entry struct {
	Kind     store.Kind
	Key      []byte
	Peer     peer.ID
	Size     int
	Received time.Time
	Expires  time.Time
}

// List yields what is held at a time: values, then announcements, each in the order of the
// key space. It reads the store in parts, so that an entry that arrives or leaves meanwhile
// may be missing. An error comes last.
func (h *Holder) List(ctx context.Context, now time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, part := range []func(context.Context, time.Time, []byte) ([]Entry, []byte, error){h.valuesFrom, h.providersFrom} {
			err := inParts(nil, func(from []byte) ([]byte, error) {
				entries, last, err := part(ctx, now, from)
				if err == nil {
					err = context.Cause(ctx)
				}
				if err != nil {
					return nil, err
				}
				for _, e := range entries {
					if !yield(e, nil) {
						return nil, ErrEnough
					}
				}
				return last, nil
			})
			if err != nil && !errors.Is(err, ErrEnough) {
				yield(Entry{}, err)
			}
			if err != nil {
				return
			}
		}
	}
}

// valuesFrom returns values that are held from a place on, and the last key of them; nil if
// there are none.
func (h *Holder) valuesFrom(ctx context.Context, now time.Time, from []byte) (entries []Entry, last []byte, err error) {
	held, err := h.cfg.Store.Values(ctx, now, from, eachBatch)
	for _, packed := range held {
		last = packed.Key
		for _, v := range h.cfg.Rules.Unpack(packed.Key, packed.Value, now) {
			entries = append(entries, Entry{store.KindValue, packed.Key, peer.ID(v.Publisher), len(v.Data), v.Received, v.Expires})
		}
	}
	return entries, last, err
}

// providersFrom is valuesFrom for announcements.
func (h *Holder) providersFrom(ctx context.Context, now time.Time, from []byte) (entries []Entry, last []byte, err error) {
	keys, err := h.cfg.Store.ProviderKeys(ctx, now, from, eachBatch)
	for _, key := range keys {
		last = key
		announced, err := h.cfg.Store.Providers(ctx, key, now, 0)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range announced {
			entries = append(entries, Entry{store.KindProvider, key, peer.ID(p.ID), len(p.Addrs), p.Received, p.Expires})
		}
	}
	return entries, last, err
}
