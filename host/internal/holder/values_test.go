package holder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/validator"
	"github.com/go-kad/kad/protocol"
)

var (
	_ record.Validator = strict{}
	_ validate.Reducer = authors{}
)

// A record or an announcement that must not be stored is refused with the reason, and
// nothing is stored.
func TestBadInput(t *testing.T) {
	owner, ownerID := roomtest.NewPeer(t)
	_, sender := roomtest.NewPeer(t)
	h := newHolder(t, Config{Rules: validate.Rules{"v": roomtest.Digits{}, "s": authors{}, "signed": validator.Signed{}}})
	signedKey := validator.SignedKey("signed", ownerID, "")
	signed, err := validator.Sign(owner, signedKey, 1, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(signed)
	forged[len(forged)-1] ^= 1
	content := []byte("a multihash")
	add := func(id peer.ID, proof []byte) protocol.AddProvider {
		return protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: id, Addrs: addrOf(1)}}, Proof: proof}
	}
	proofOf := func(change func(*announce.Proof)) []byte {
		p := announce.Proof{Network: testProtocol, Key: content, Published: time.Now()}
		change(&p)
		return p.Sign(owner)
	}
	tests := []struct {
		name string
		give protocol.Request
		want error
	}{
		{"no namespace", put("key", "1"), kaderr.ErrInvalidRecord},
		{"wrong namespace", put("/w/key", "1"), kaderr.ErrInvalidRecord},
		{"not valid", put("/v/key", "x"), kaderr.ErrInvalidRecord},
		{"invalid signature", put(signedKey, string(forged)), kaderr.ErrInvalidRecord},
		{"signed for another key", put(signedKey+"/other", string(signed)), kaderr.ErrInvalidRecord},
		{"none of a set valid", put("/s/key", "1", "2"), kaderr.ErrInvalidRecord},
		{"two values where there is one", put("/v/key", "1", "2"), kaderr.ErrTooMany},
		{"too many values", put("/s/key", "a1", "b1", "c1", "d1"), kaderr.ErrTooMany},
		{"values too large", put("/s/key", "a1", "b"+string(make([]byte, 100))), kaderr.ErrTooMany},
		{"no provider", protocol.AddProvider{Key: content}, kaderr.ErrBadProvider},
		{"no address", protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: sender}}}, kaderr.ErrBadProvider},
		{"announcement of another peer", add(ownerID, nil), kaderr.ErrBadProvider},
		{"of another peer, with garbage", add(ownerID, []byte("garbage")), kaderr.ErrBadProof},
		{"proof for another key", add(ownerID, proofOf(func(p *announce.Proof) { p.Key = []byte("other") })), kaderr.ErrBadProof},
		{"proof for another network", add(ownerID, proofOf(func(p *announce.Proof) { p.Network = "/other/kad/1.0.0" })), kaderr.ErrBadProof},
		{"expired on arrival", add(ownerID, proofOf(func(p *announce.Proof) { p.Published = time.Now().Add(-48 * time.Hour) })), kaderr.ErrExpired},
		{"its own lifetime is over", add(ownerID, proofOf(func(p *announce.Proof) { p.Published, p.Lifetime = time.Now().Add(-2*time.Hour), time.Hour })), kaderr.ErrExpired},
		{"from the future", add(ownerID, proofOf(func(p *announce.Proof) { p.Published = time.Now().Add(time.Hour) })), kaderr.ErrBadProof},
		{"withdrawn by another peer", add(ownerID, proofOf(func(p *announce.Proof) { p.Lifetime = announce.Withdrawn })), kaderr.ErrBadProof},
		{"about ourselves", add(h.self, []byte("garbage")), kaderr.ErrBadProvider},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := receive(t, h, sender, tt.give); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if values, providers := h.Len(); values+providers > 0 {
				t.Errorf("%d values and %d announcements were stored", values, providers)
			}
		})
	}
	t.Run("good ones", func(t *testing.T) {
		for _, req := range []protocol.Request{
			put("/v/key", "1"), put(signedKey, string(signed)), put("/s/key", "a1", "b1"), put("/s/key", "c1", "1"),
			add(sender, nil), add(ownerID, proofOf(func(*announce.Proof) {})),
		} {
			if err := receive(t, h, sender, req); err != nil {
				t.Errorf("%T: %v", req, err)
			}
		}
		if values, providers := h.Len(); values != 3 || providers != 2 {
			t.Errorf("%d values, %d announcements", values, providers)
		}
		if err := receive(t, h, sender, put("/s/key", "d1")); !errors.Is(err, kaderr.ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
		if got := held(t, h, "/s/key"); got != "a1 b1 c1" {
			t.Errorf("after one too many, %q is held", got)
		}
	})
}

// A better value replaces the one that is held, an older one is refused, and Accepts
// says the same beforehand, and changes nothing.
func TestStoreKeepsTheBest(t *testing.T) {
	h := newHolder(t, Config{})
	for _, step := range []struct {
		give, held string
		want       error
	}{{"2", "2", nil}, {"1", "2", kaderr.ErrOldRecord}, {"2", "2", nil}, {"3", "3", nil}, {"x", "3", kaderr.ErrInvalidRecord}} {
		before := held(t, h, "/v/key")
		records := RecordsIn(put("/v/key", step.give))
		if err := h.Accepts(t.Context(), time.Now(), records); !errors.Is(err, step.want) || held(t, h, "/v/key") != before {
			t.Errorf("%q, Accepts() = %v, want %v", step.give, err, step.want)
		}
		if err := h.Store(t.Context(), time.Now(), "a peer", records...); !errors.Is(err, step.want) {
			t.Errorf("%q, Store() = %v, want %v", step.give, err, step.want)
		}
		if got := held(t, h, "/v/key"); got != step.held {
			t.Errorf("after %q, %q is held", step.give, got)
		}
	}
}

// A record lives as long as its sender says, and no longer than the holder keeps
// records.
func TestLifetimeOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, forever := newHolder(t, Config{RecordAge: 10 * time.Hour}), newHolder(t, Config{RecordAge: -1})
		tests := []struct {
			name string
			h    *Holder
			ttl  time.Duration
			want time.Duration // 0: never
		}{
			{"does not say", h, 0, 10 * time.Hour},
			{"less", h, time.Hour, time.Hour},
			{"a second", h, time.Second, time.Second},
			{"more: a lifetime from the future", h, 1<<32*time.Second - time.Second, 10 * time.Hour},
			{"no limit here, and it does not say", forever, 0, 0},
			{"no limit here", forever, time.Hour, time.Hour},
		}
		for i, tt := range tests {
			rec := protocol.Record{Key: []byte(recordKey(i)), Value: []byte("1"), TTL: tt.ttl, Publisher: []byte("a publisher")}
			if err := receive(t, tt.h, "a peer", protocol.PutValue{Record: rec}); err != nil {
				t.Fatal(err)
			}
			held, err := tt.h.Held(t.Context(), rec.Key, time.Now())
			if err != nil || len(held) != 1 {
				t.Fatal(held, err)
			}
			if got := remaining(held[0].Expires, time.Now()); got != tt.want {
				t.Errorf("%s: it lives for %v, want %v", tt.name, got, tt.want)
			}
			if string(held[0].Publisher) != "a publisher" {
				t.Errorf("%s: the publisher is %q", tt.name, held[0].Publisher)
			}
		}
	})
}

// An answer has the remaining lifetime of a record, less the time of the way, and no
// record that is about to expire or that has become invalid.
func TestRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := false
		h := newHolder(t, Config{RecordAge: time.Minute, Rules: validate.Rules{"v": strict{on: &on}}})
		if err := receive(t, h, "a peer", put("/v/key", "9")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		records, err := h.Records(t.Context(), []byte("/v/key"), time.Now())
		if err != nil || len(records) != 1 || records[0].TTL != 10*time.Second-Transit || records[0].TimeReceived.IsZero() {
			t.Errorf("%v, %v", records, err)
		}
		on = true
		if records, err := h.Records(t.Context(), []byte("/v/key"), time.Now()); err != nil || len(records) != 0 {
			t.Errorf("an invalid value is served: %v, %v", records, err)
		}
		on = false
		time.Sleep(8500 * time.Millisecond)
		if records, err := h.Records(t.Context(), []byte("/v/key"), time.Now()); err != nil || len(records) != 0 {
			t.Errorf("with 1.5s to live, it is served: %v, %v", records, err)
		}
		if copies, err := h.Copies(t.Context(), store.KindValue, []byte("/v/key"), 0); err != nil || len(copies) != 0 {
			t.Errorf("with 1.5s to live, it is passed on: %v, %v", copies, err)
		}
	})
}

// A value that has become invalid while it is held keeps no valid one out.
func TestInvalidMeanwhile(t *testing.T) {
	on := false
	h := newHolder(t, Config{Rules: validate.Rules{"v": strict{on: &on}}})
	if err := receive(t, h, "a peer", put("/v/key", "9")); err != nil {
		t.Fatal(err)
	}
	on = true
	if err := receive(t, h, "a peer", put("/v/key", "1")); err != nil {
		t.Errorf("a valid value, where an invalid one is held: %v", err)
	}
	if got := held(t, h, "/v/key"); got != "1" {
		t.Errorf("%q is held", got)
	}
}

// A picky is authors that refuses a letter, once that is set.
type picky struct {
	authors

	refused *byte
}

func (p picky) Validate(key string, value []byte) error {
	if len(value) > 0 && value[0] == *p.refused {
		return errors.New("not any more")
	}
	return p.authors.Validate(key, value)
}

// A value of a set that has become invalid takes none of the others with it.
func TestInvalidInSet(t *testing.T) {
	var refused byte
	h := newHolder(t, Config{Rules: validate.Rules{"s": picky{refused: &refused}}})
	if err := receive(t, h, "a peer", put("/s/key", "a1", "b1")); err != nil {
		t.Fatal(err)
	}
	best, err := h.Held(t.Context(), []byte("/s/key"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	refused = best[0].Data[0]
	if err := receive(t, h, "a peer", put("/s/key", "c1")); err != nil {
		t.Fatal(err)
	}
	if got := held(t, h, "/s/key"); !strings.Contains(got, string(best[1].Data)) || !strings.Contains(got, "c1") {
		t.Errorf("%q is held", got)
	}
}

// A fullDisk is a store in memory whose writes fail for want of disk space.
type fullDisk struct{ store.Store }

func (d fullDisk) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(store.Value, bool) (store.Value, error)) error {
	return d.Store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
		_, err := f(current, ok)
		return store.Value{}, errors.Join(err, store.ErrNoSpace)
	})
}

func (fullDisk) AddProvider(context.Context, []byte, store.Provider) error {
	return store.ErrNoSpace
}

// A write that the disk has no space for drops nothing: an entry less makes a file no
// smaller. The sender is not charged for it, and is told that the fault is of this node.
func TestFullDiskDropsNothing(t *testing.T) {
	const room = 48
	memory := store.NewMemory(store.Limits{})
	h := newHolder(t, Config{Store: memory})
	for i := range room {
		if err := receive(t, h, "a peer", put(recordKey(i), "1")); err != nil {
			t.Fatal(err)
		}
	}
	h.cfg.Store = fullDisk{memory}
	for i := range 100 {
		err := receive(t, h, "another peer", put(recordKey(room+i), "1"))
		if !errors.Is(err, store.ErrNoSpace) || kaderr.CodeOf(err) != kaderr.CodeOf(io.ErrUnexpectedEOF) {
			t.Fatalf("a write without disk space: %v", err)
		}
		add := protocol.AddProvider{Key: []byte(recordKey(i)), Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}}}
		if err := receive(t, h, calltest.ID(1), add); !errors.Is(err, store.ErrNoSpace) {
			t.Fatalf("an announcement without disk space: %v", err)
		}
	}
	if values, _ := h.Len(); values != room || h.Shed() != 0 {
		t.Errorf("%d of %d values are left, %d were dropped", values, room, h.Shed())
	}
	if err := h.StoreOwn(t.Context(), time.Now(), protocol.Record{Key: []byte(recordKey(0)), Value: []byte("2")}); err != nil {
		t.Errorf("a record of ours: %v", err)
	}
	if level := h.used("another peer"); level != 0 {
		t.Errorf("the sender is charged for %v bytes", level)
	}
}

// equals is a validator that takes all values for equal.
type equals struct{}

func (equals) Validate(string, []byte) error { return nil }

func (equals) Select(string, [][]byte) (int, error) { return 0, nil }

// Of values that the validator takes for equal, the one that was put last is held. A copy that
// another holder passes on replaces none of about the same time.
func TestLastPutOfEqualValues(t *testing.T) {
	for _, tt := range []struct {
		name      string
		from      peer.ID // empty: this node
		publisher string
		want      string
	}{
		{"from its publisher", "a", "a", "1"},
		{"without a publisher", "a", "", "1"},
		{"of this node", "", "b", "1"},
		{"a copy", "a", "b", "2"},
	} {
		h := newHolder(t, Config{Rules: validate.Rules{"e": equals{}}})
		from := cmp.Or(tt.from, h.self)
		for _, rec := range []protocol.Record{{Value: []byte("2")}, {Value: []byte("1"), Publisher: []byte(tt.publisher)}} {
			rec.Key = []byte("/e/x")
			if err := h.Store(t.Context(), time.Now(), from, rec); err != nil && !errors.Is(err, kaderr.ErrOldRecord) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if got := held(t, h, "/e/x"); got != tt.want {
			t.Errorf("%s: %q is held, want %q", tt.name, got, tt.want)
		}
	}
}
