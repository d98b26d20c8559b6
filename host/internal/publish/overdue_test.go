package publish

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/store"
)

// What is overdue, since the node did not run, is published again in batches, 8 times as fast as
// usual or one in a minute, and at once if holders may have forgotten it.
func TestOverdue(t *testing.T) {
	const batches = 3
	for _, tt := range []struct {
		name           string
		interval, late time.Duration
		pause          time.Duration
	}{
		{"held", 22 * time.Hour, time.Hour, time.Minute},
		{"held, and usually quick", 10 * time.Minute, time.Hour, 10 * time.Minute / batches / 8},
		{"forgotten", 22 * time.Hour, 3 * time.Hour, 0}, // records last for a day
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 3, tt.interval)
			for i := range batches * republishBatch {
				due := time.Now().Add(-tt.late).Add(time.Duration(i) * time.Millisecond)
				err := n.store.Publish(t.Context(), store.Publication{Kind: store.KindProvider, Key: fmt.Append(nil, i), Next: due})
				if err != nil {
					t.Fatal(err)
				}
			}
			n.Resume(t.Context())
			n.run()
			start := time.Now()
			if tt.pause == 0 {
				time.Sleep(catchUpPause - 10*time.Second)
				if got := n.Republished(); got != batches*republishBatch {
					t.Errorf("%s: after %v, %d are published again, want %d", tt.name, time.Since(start), got, batches*republishBatch)
				}
				return
			}
			for batch := range batches {
				time.Sleep(time.Duration(batch)*tt.pause + 10*time.Second - time.Since(start))
				if got, want := n.Republished(), uint64((batch+1)*republishBatch); got != want {
					t.Errorf("%s: after %v, %d are published again, want %d", tt.name, time.Since(start), got, want)
				}
			}
		})
	}
}
