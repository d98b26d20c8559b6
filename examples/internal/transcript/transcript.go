// Package transcript has what a program writes, for tests to wait for.
package transcript

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"
)

// patience is how long Await waits for what should happen at once.
const patience = 30 * time.Second

// A Transcript is what a program has written. It is a writer for several goroutines.
type Transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed with every write
}

// Write implements [io.Writer].
func (tr *Transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.changed != nil {
		close(tr.changed)
		tr.changed = nil
	}
	return tr.text.Write(p)
}

// String returns what was written so far.
func (tr *Transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// Find waits until what was written matches a pattern, and returns the submatches.
func (tr *Transcript) Find(ctx context.Context, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	for {
		tr.mu.Lock()
		if tr.changed == nil {
			tr.changed = make(chan struct{})
		}
		changed, match := tr.changed, re.FindStringSubmatch(tr.text.String())
		tr.mu.Unlock()
		if match != nil {
			return match, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("nothing matches %s in:\n%s", pattern, tr)
		}
	}
}

// Await is Find for a test, which fails if nothing matches within 30 s.
func (tr *Transcript) Await(t *testing.T, pattern string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	match, err := tr.Find(ctx, pattern)
	if err != nil {
		t.Fatal(err)
	}
	return match
}
