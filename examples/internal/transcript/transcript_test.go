package transcript

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is written later is waited for, until the context ends.
func TestFind(t *testing.T) {
	var tr Transcript
	_, _ = fmt.Fprint(&tr, "one\n")
	written := make(chan struct{})
	go func() { // ends with its write
		defer close(written)
		_, _ = fmt.Fprint(&tr, "two three\n")
	}()
	got := tr.Await(t, `two (\w+)`)
	<-written
	if !slices.Equal(got, []string{"two three", "three"}) || tr.String() != "one\ntwo three\n" {
		t.Errorf("found %q in %q", got, &tr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Find(ctx, "four"); err == nil || !strings.Contains(err.Error(), "four in:\none") {
		t.Errorf("four: %v", err)
	}
}

// Runs that differ in IDs, times and numbers alone have the same forms, other ones do not.
func TestForms(t *testing.T) {
	one := Forms("12D3KooWAbc  /ip4/127.0.0.1/tcp/4001\n1 hop, 3 requests, 12.5ms\n\n2 hops, 1 request, 1h2m3s\n")
	if again := Forms("2 hops, 4 requests, 3ms\n12D3KooWXyz /ip4/127.0.0.1/tcp/39999\n"); !slices.Equal(one, again) {
		t.Errorf("%q and %q", one, again)
	}
	if other := Forms("12D3KooWAbc /ip4/127.0.0.1/tcp/4001\n1 hop, 3 requests\n"); slices.Equal(one, other) {
		t.Errorf("%q twice", one)
	}
}
