package routing

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A doubtful contact has a tenth of SlowAfter, or twice its round trip if that is longer, and
// no more than is expected of it.
func TestPatience(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name              string
		doubtful          bool
		roundTrip, expect time.Duration
		want              time.Duration
	}{
		{"unknown", false, 0, 0, 1000 * ms},
		{"expected", false, 100 * ms, 150 * ms, 150 * ms},
		{"slow", false, 2000 * ms, 3000 * ms, 1000 * ms},
		{"doubtful", true, 0, 0, 100 * ms},
		{"doubtful, of strangers", true, 0, 400 * ms, 100 * ms},
		{"doubtful and quick", true, 10 * ms, 15 * ms, 15 * ms},
		{"doubtful and far", true, 100 * ms, 300 * ms, 200 * ms},
		{"doubtful and even", true, 100 * ms, 130 * ms, 130 * ms},
		{"doubtful and slow", true, 2000 * ms, 3000 * ms, 1000 * ms},
	} {
		l := &Lookup{cfg: LookupConfig{SlowAfter: time.Second}}
		c := &candidate{Contact: Contact{RoundTrip: tt.roundTrip, Expect: tt.expect}}
		if got := l.patience(c, tt.doubtful); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// trained returns n contacts that answered within a millisecond so far.
func trained(n int) []Contact {
	contacts := span(1, n)
	for i := range contacts {
		contacts[i].Expect, contacts[i].Connected = 50*time.Millisecond, true
	}
	return contacts
}

// Where all answers come later than those before, a lookup asks no more contacts than without
// that, drops none, and finds the closest; whether all are late, or only half of the first ones.
func TestMostAreLate(t *testing.T) {
	for name, tt := range map[string]struct {
		patient int
		took    time.Duration
	}{"all": {0, 102 * time.Millisecond}, "half of the first": {5, 102 * time.Millisecond}, "half of the answers": {5, 60 * time.Millisecond}} {
		seeds := trained(40)
		for i := range tt.patient {
			seeds[2*i].Expect = 0
		}
		l := NewLookup("self", target, seeds, LookupConfig{K: 20, Alpha: 10, SlowAfter: time.Second})
		now, since := epoch, make(map[string]time.Time)
		for done := false; !done; {
			switch a := l.Next(now); a.Kind {
			case Ask:
				since[string(a.Contact.ID)] = now
			case Drop:
				t.Fatalf("%s: %s is dropped", name, a.Contact.ID)
			case Done:
				done = true
			case Wait:
				now = a.Until
				for _, at := range since {
					if end := at.Add(tt.took); end.Before(now) {
						now = end
					}
				}
				for id, at := range since {
					if !now.Before(at.Add(tt.took)) {
						l.Answered(peer.ID(id), nil)
						delete(since, id)
					}
				}
			}
		}
		if !l.relented {
			t.Errorf("%s: it has not noticed", name)
		}
		if r := l.Result(); r.End != Converged || !slices.Equal(ids(r.Closest), ids(span(1, 20))) || r.Requests > 30 {
			t.Errorf("%s: %v after %d requests, closest %v", name, r.End, r.Requests, ids(r.Closest))
		}
	}
}

// Contacts that are silent cost a lookup that takes them for late SlowAfter, and at its end,
// where more are silent than have answered, SlowAfter again.
func TestMostAreSilent(t *testing.T) {
	l := NewLookup("self", target, trained(40), LookupConfig{K: 4, Alpha: 4, SlowAfter: time.Second})
	now := epoch
	for a := l.Next(now); a.Kind != Done; a = l.Next(now) {
		switch a.Kind {
		case Wait:
			now = a.Until
		case Ask:
			if n, _ := strconv.Atoi(string(a.Contact.ID)); n > 20 {
				l.Answered(a.Contact.ID, nil)
			}
		}
	}
	if spent := now.Sub(epoch); spent < time.Second || spent > 2500*time.Millisecond {
		t.Errorf("it took %v, want twice SlowAfter, and little more", spent)
	}
}
