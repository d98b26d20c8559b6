package observe

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	logging "github.com/ipfs/go-log/v2"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A reader gets what is told after Events was called, in order; a slow one loses the
// oldest, and is told how many.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(nil)
		o.Tell(events.LookupBegan{Lookup: 0})
		seq := o.Events(t.Context(), context.Background())
		for i := range uint64(Kept + 7) {
			o.Tell(events.LookupBegan{Lookup: i + 1})
		}
		want := uint64(8)
		for e := range seq {
			if got := e.What.(events.LookupBegan).Lookup; got != want {
				t.Fatalf("event %d, want %d", got, want)
			}
			if missed := e.Missed; (want == 8) != (missed == 7) || want > 8 && missed > 0 {
				t.Fatalf("at %d: %d missed, want 7 at the first alone", want, missed)
			}
			if want++; want == Kept+8 {
				break
			}
		}
		synctest.Wait()
		if o.Watched() {
			t.Error("there is a reader after the last one has left")
		}
	})
}

// A reader waits, and ends with its context, or with the node.
func TestReaderEnds(t *testing.T) {
	for _, node := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := New(nil)
			ctx, cancel := context.WithCancel(t.Context())
			other, stop := context.WithCancel(context.Background())
			defer cancel()
			defer stop()
			got, ended := 0, false
			seq := o.Events(ctx, other)
			go func() {
				for range seq {
					got++
				}
				ended = true
			}()
			synctest.Wait()
			o.Tell(events.Back{})
			synctest.Wait()
			if got != 1 || ended {
				t.Errorf("%d events, ended: %v; want 1 and more to come", got, ended)
			}
			if node {
				stop()
			} else {
				cancel()
			}
			synctest.Wait()
			if !ended || o.Watched() {
				t.Errorf("ended: %v, watched: %v", ended, o.Watched())
			}
		})
	}
}

// Each of two readers that wait gets an event.
func TestTwoReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(nil)
		got := make(chan events.Event, 2)
		for range 2 {
			seq := o.Events(t.Context(), context.Background())
			go func() {
				for e := range seq {
					got <- e
					return
				}
			}()
		}
		synctest.Wait()
		o.Tell(events.Back{})
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("%d of 2 readers got it", len(got))
		}
	})
}

// Without a reader, an event leaves nothing behind.
func TestNoReader(t *testing.T) {
	o := New(nil)
	o.Tell(events.LookupBegan{})
	if o.ring != nil || o.next != 0 {
		t.Error("an event was kept")
	}
	var none *Observer
	none.Tell(events.Back{})
	if none.Watched() || none.Traced() || o.Traced() {
		t.Error("watched, or traced")
	}
}

// The log has every change of state, also without a reader, but of a long series of joins that
// fail only some.
func TestLog(t *testing.T) {
	logging.SetupLogging(logging.Config{Format: logging.PlaintextOutput, Level: logging.LevelInfo})
	lines := logging.NewPipeReader()
	defer lines.Close()
	o := New(nil)
	go func() {
		o.Tell(events.LookupBegan{})
		for attempt := range 17 {
			o.Tell(events.JoinFailed{Attempt: attempt + 1, Bootstrap: attempt % 2})
		}
		o.Tell(events.Back{})
	}()
	fails, _ := events.JoinFailed{Bootstrap: 1}.Says()
	waits, _ := events.JoinFailed{}.Says()
	back, _ := events.Back{}.Says()
	scanner := bufio.NewScanner(lines)
	for _, want := range []string{"info " + waits, "warn " + fails, "warn " + fails, "warn " + fails, "warn " + fails, "info " + back} {
		level, said, _ := strings.Cut(want, " ")
		if !scanner.Scan() || !strings.Contains(scanner.Text(), said) || !strings.Contains(scanner.Text(), level) {
			t.Errorf("%q, %v; want %q", scanner.Text(), scanner.Err(), want)
		}
	}
}
