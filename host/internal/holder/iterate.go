package holder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// eachBatch is how many keys are read from the store at a time.
const eachBatch = 64

// Keys returns keys of which something of a kind is held, in the order of the key
// space, from a place on.
func (h *Holder) Keys(ctx context.Context, kind store.Kind, from []byte, limit int) (keys [][]byte, err error) {
	return h.keysAt(ctx, time.Now(), kind, from, limit)
}

// keysAt is Keys at a time. At the zero time, nothing has expired.
func (h *Holder) keysAt(ctx context.Context, now time.Time, kind store.Kind, from []byte, limit int) (keys [][]byte, err error) {
	if kind == store.KindProvider {
		return h.cfg.Store.ProviderKeys(ctx, now, from, limit)
	}
	values, err := h.cfg.Store.Values(ctx, now, from, limit)
	for _, v := range values {
		keys = append(keys, v.Key)
	}
	return keys, err
}

// Each calls visit with each key of which something is held and that begins with so
// many bits of a prefix.
func (h *Holder) Each(ctx context.Context, prefix routing.Key, bits int, visit func(kind store.Kind, key []byte) error) error {
	return each(func(kind store.Kind, from []byte) ([][]byte, error) {
		return h.Keys(ctx, kind, from, eachBatch)
	}, prefix, bits, visit)
}

// each is Holder.Each for a store that has keys from a place on.
func each(
	keysFrom func(kind store.Kind, from []byte) ([][]byte, error), prefix routing.Key, bits int, visit func(kind store.Kind, key []byte) error,
) error {
	first := firstPlace(prefix, bits)
	for _, kind := range []store.Kind{store.KindValue, store.KindProvider} {
		err := inParts(first, func(from []byte) (last []byte, err error) {
			keys, err := keysFrom(kind, from)
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				if routing.KeyOf(key).CPL(prefix) < bits { // past the end
					return nil, nil
				}
				if err := visit(kind, key); err != nil {
					return nil, err
				}
				last = key
			}
			return last, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inParts reads the store in parts, from a place on: read returns the last key of a part, nil
// if it is the end.
func inParts(from []byte, read func(from []byte) (last []byte, err error)) error {
	for {
		last, err := read(from)
		if err != nil || last == nil {
			return err
		}
		from = store.After(last)
	}
}

// firstPlace returns where in the order of the store the keys begin that share so many
// bits with a prefix.
func firstPlace(prefix routing.Key, bits int) []byte {
	place := make([]byte, 8)
	binary.BigEndian.PutUint64(place, binary.BigEndian.Uint64(prefix[:8])&^(^uint64(0)>>bits))
	return place
}

// Copies returns the requests that give what is held under a key to another peer,
// without announcements that have no proof, or a false one: such a proof is dropped, so that
// no other pass verifies it again. If age is above 0, the entries are left out that arrived
// within it, and our own announcements. The values of a key are copied together, if one of
// them arrived before.
func (h *Holder) Copies(ctx context.Context, kind store.Kind, key []byte, age time.Duration) ([]protocol.Request, error) {
	requests, err := h.Candidates(ctx, kind, key, age)
	return h.Genuine(ctx, requests), err
}

// Genuine returns candidates without the announcements that have a false proof: see Copies.
func (h *Holder) Genuine(ctx context.Context, candidates []protocol.Request) []protocol.Request {
	return slices.DeleteFunc(candidates, func(req protocol.Request) bool { return !h.genuine(ctx, req) })
}

// Candidates is Copies with the announcements that have a false proof: to verify one takes
// 70 µs of CPU.
func (h *Holder) Candidates(ctx context.Context, kind store.Kind, key []byte, age time.Duration) (requests []protocol.Request, err error) {
	now := time.Now()
	old := func(received time.Time) bool { return age <= 0 || now.Sub(received) >= age || aheadOf(now, received) }
	if kind == store.KindValue {
		held, err := h.Held(ctx, key, now)
		if err != nil || !slices.ContainsFunc(held, func(v store.Value) bool { return old(v.Received) }) {
			return nil, err
		}
		if records := RecordsOf(key, held, now); len(records) > 0 {
			requests = append(requests, PutOf(records))
		}
		return requests, nil
	}
	providers, err := h.cfg.Store.Providers(ctx, key, now, 0)
	for _, p := range providers {
		if p.ID == string(h.self) {
			if age <= 0 {
				requests = append(requests, h.Announcement(key, remaining(p.Expires, now), now))
			}
			continue
		}
		if kept := announce.ParseKept(p.Addrs); old(p.Received) && len(kept.Proof) > 0 {
			requests = append(requests, protocol.AddProvider{
				Key: key, Providers: []protocol.Peer{providerOf(p, kept, now)}, Proof: kept.Proof,
			})
		}
	}
	return requests, err
}

// genuine reports whether a candidate may be passed on. It drops the proof if that is false.
func (h *Holder) genuine(ctx context.Context, req protocol.Request) bool {
	add, ok := req.(protocol.AddProvider)
	if !ok || add.Providers[0].ID == h.self {
		return true
	}
	id := add.Providers[0].ID
	if _, err := announce.Verify(add.Proof, id, h.cfg.Protocol, add.Key); err == nil {
		return true
	}
	if err := h.dropProof(ctx, add.Key, string(id), add.Proof); err != nil {
		log.Debugw("a false proof is kept", "key", add.Key, "provider", id, "error", err)
	}
	return false
}

// dropProof takes a proof out of the announcement that has it, expired or not: it is told as
// before, and not passed on.
func (h *Holder) dropProof(ctx context.Context, key []byte, provider string, proof []byte) error {
	return h.amend(ctx, key, provider, proof, time.Time{}, func(p *store.Provider) {
		kept := announce.ParseKept(p.Addrs)
		kept.Proof = nil
		p.Addrs = kept.Marshal()
	})
}

// amend changes the announcement of a provider that has a proof. If it is gone, or was replaced
// by one with another proof, that is left as it is. At the zero time, none has expired.
func (h *Holder) amend(ctx context.Context, key []byte, provider string, proof []byte, now time.Time, change func(p *store.Provider)) error {
	defer h.announcing.Lock(key).Unlock()
	p, err := h.cfg.Store.Provider(ctx, key, provider, now)
	if err != nil || !bytes.Equal(announce.ParseKept(p.Addrs).Proof, proof) {
		return nil // it is gone, or there is another one now
	}
	change(&p)
	return h.cfg.Store.AddProvider(ctx, key, p)
}

// remaining returns the time until something expires; 0 if it never does.
func remaining(expires, now time.Time) time.Duration {
	if expires.IsZero() {
		return 0
	}
	return expires.Sub(now)
}

// MarkSent records that what a request stores was sent to its holders: as if it had
// arrived just now. An entry that was replaced since the request was made is left as it is.
func (h *Holder) MarkSent(ctx context.Context, req protocol.Request) error {
	now := time.Now()
	if add, ok := req.(protocol.AddProvider); ok {
		return h.amend(ctx, add.Key, string(add.Providers[0].ID), add.Proof, now, func(p *store.Provider) { p.Received = now })
	}
	put, _ := req.(protocol.PutValue)
	key := put.Record.Key
	sent := RecordsIn(put)
	err := h.cfg.Store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
		held := h.cfg.Rules.Unpack(key, current, now)
		if !ok || len(held) == 0 {
			return store.Value{}, store.ErrNotFound
		}
		for i, v := range held {
			if slices.ContainsFunc(sent, func(r protocol.Record) bool { return bytes.Equal(r.Value, v.Data) }) {
				held[i].Received = now
			}
		}
		return h.cfg.Rules.Pack(key, held), nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it is gone
	}
	return err
}
