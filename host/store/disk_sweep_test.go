package store

import (
	"testing"
	"time"
)

// A sweep waits for somebody who writes, and is written with that.
func TestSweepTakenAlong(t *testing.T) {
	d, err := Open(t.TempDir(), Limits{})
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	for _, id := range []string{"ann", "bob"} {
		if err := d.AddProvider(t.Context(), nil, Provider{ID: id, Received: now, Expires: now.Add(time.Second)}); err != nil {
			t.Fatalf("AddProvider() = %v", err)
		}
	}
	swept := 0
	w := &write{apply: func(b *batch) (err error) {
		swept, err = b.sweep(now.Add(time.Minute), 10)
		return err
	}}
	if err := d.enqueue(t.Context(), w); err != nil {
		t.Fatalf("enqueue() = %v", err)
	}
	if err := d.AddProvider(t.Context(), nil, Provider{ID: "cat", Received: now}); err != nil {
		t.Fatalf("AddProvider() = %v", err)
	}
	if _, providers := d.Len(); swept != 2 || providers != 1 || !w.done {
		t.Errorf("swept %d, %d are left, want both to be gone with the write of another", swept, providers)
	}
	if err := d.await(w); err != nil {
		t.Errorf("await() = %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}
