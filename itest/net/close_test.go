package net_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
)

// Close ends 1 000 operations that are under way. It takes less than a second on a machine that
// has a processor to spare, and the test allows for one that has none.
func TestCloseUnderLoad(t *testing.T) {
	const operations, longest = 1000, 10 * time.Second
	f := launch(t, 12, 1)
	d := f.nodes[0]
	var under, began sync.WaitGroup
	var closed, other atomic.Int64
	for i := range operations {
		began.Add(1)
		under.Go(func() {
			began.Done()
			for n := 0; ; n++ {
				_, err := d.ClosestPeers(t.Context(), fmt.Appendf(nil, "%d of %d", n, i))
				if errors.Is(err, kad.ErrClosed) {
					closed.Add(1)
					return
				}
				if err != nil {
					other.Add(1)
				}
			}
		})
	}
	began.Wait()
	<-time.After(time.Second)
	start := time.Now()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	spent := time.Since(start)
	under.Wait()
	t.Logf("Close took %v under %d operations, and these returned after %v; %d failed before", spent, operations, time.Since(start), other.Load())
	if spent > longest || closed.Load() != operations {
		t.Errorf("%v, want at most %v; %d operations were ended, want %d", spent, longest, closed.Load(), operations)
	}
}
