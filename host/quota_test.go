package host

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A peer may add so many bytes, and again as they leak away; others are not
// concerned, and what adds nothing is always allowed.
func TestQuota(t *testing.T) {
	q := quota{limit: 1000, age: 10 * time.Hour}
	at := func(h int) time.Time { return time.Unix(0, 0).Add(time.Duration(h) * time.Hour) }
	steps := []struct {
		hour  int
		id    peer.ID
		bytes int
		ok    bool
	}{
		{0, "a", 1001, false},
		{0, "a", 900, true},
		{0, "a", 101, false},
		{0, "a", 100, true},
		{0, "a", 1, false},
		{0, "a", 0, true},
		{0, "a", -50, true},
		{0, "b", 1000, true},
		{1, "a", 101, false},
		{1, "a", 100, true},
		{20, "a", 1000, true},
		{20, "a", 1, false},
	}
	for i, s := range steps {
		err := q.take(at(s.hour), s.id, s.bytes)
		if err == nil != s.ok || err != nil && !errors.Is(err, errOverQuota) {
			t.Errorf("step %d: %v, want ok %v", i, err, s.ok)
		}
	}
	q.give(at(20), "a", 300)
	if err := q.take(at(20), "a", 300); err != nil {
		t.Errorf("what was given back: %v", err)
	}
	off := quota{limit: -1}
	if err := off.take(at(0), "a", 1<<40); err != nil || off.used != nil {
		t.Errorf("without a limit: %v", err)
	}
	forever := quota{limit: 10, age: -1}
	if forever.take(at(0), "a", 10) != nil || forever.take(at(1e6), "a", 1) == nil {
		t.Error("what never expires has leaked away")
	}
}

// However many peers there are, the memory of them is bounded, and those that use
// most are not forgotten.
func TestQuotaForgets(t *testing.T) {
	q := quota{limit: 1000, age: time.Hour}
	now := time.Unix(0, 0)
	big := q.take(now, "big", 1000)
	for i := range 3 * maxQuotaPeers {
		if err := q.take(now, peer.ID(strconv.Itoa(i)), 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(q.used) > maxQuotaPeers {
		t.Errorf("%d peers are remembered", len(q.used))
	}
	if big != nil || q.take(now, "big", 1) == nil {
		t.Error("who uses most is forgotten")
	}
}
