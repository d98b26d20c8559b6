package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// placed returns a contact whose key differs from target in these bits.
func placed(name string, bits ...int) Contact {
	c := Contact{ID: peer.ID(name), Key: target}
	for _, bit := range bits {
		c.Key = c.Key.flip(bit)
	}
	return c
}

// A census asks seeds that are far from the target and from each other, each of another Group;
// none that is in doubt, has failed, is being asked or was named by another contact.
func TestCensusPlaces(t *testing.T) {
	group := func(c Contact, name string) Contact { c.Group = name; return c }
	doubtful := placed("doubtful", 0, 2)
	doubtful.Doubtful = true
	seeds := []Contact{
		placed("first half", 0), placed("first half again", 0, 200), placed("second quarter", 0, 1), placed("third", 1),
		placed("near", 30), doubtful, placed("failed", 0, 3), placed("asked", 0, 4),
		group(placed("of a group", 1, 2), "g"), group(placed("of the same group", 2), "g"),
	}
	l := NewLookup("self", target, seeds, LookupConfig{K: 4})
	l.hear(l.paths[0], l.known["third"], []Contact{placed("named", 1, 3)})
	l.known["failed"].state, l.known["asked"].state = failed, waiting
	chosen := func() (names []string) {
		for _, c := range l.newCensus(0x1p-30).places {
			names = append(names, string(c.ID))
		}
		slices.Sort(names)
		return names
	}
	if got, want := chosen(), []string{"first half again", "of a group", "second quarter", "third"}; !slices.Equal(got, want) {
		t.Errorf("asked are %q, want %q", got, want)
	}
	about := &candidate{Contact: placed("about", 50)}
	l.paths[0].again = []*candidate{{Contact: l.known["first half again"].Contact, state: slow, about: about}}
	if got, want := chosen(), []string{"first half", "of a group", "second quarter", "third"}; !slices.Equal(got, want) {
		t.Errorf("while one is asked about a gap, asked are %q, want %q", got, want)
	}
	l.known["first half"].state = answered
	l.census = l.newCensus(0x1p-30)
	for _, c := range l.census.places {
		l.paths[0].again = append(l.paths[0].again, &candidate{Contact: c.Contact, state: slow, about: about})
	}
	if c := l.poll(l.paths[0]); c != nil {
		t.Errorf("%q is asked, which is being asked about a gap", c.ID)
	}
}

// A census whose answers would be too few to count asks no contact.
func TestCensusThatCannotCount(t *testing.T) {
	for _, tt := range []struct{ k, seeds, want int }{{3, 8, 0}, {4, 8, 4}, {4, 3, 0}, {20, 3, 3}, {20, 2, 0}} {
		var seeds []Contact
		for i := range tt.seeds {
			seeds = append(seeds, placed(fmt.Sprint("far ", i), i))
		}
		l := NewLookup("self", target, seeds, LookupConfig{K: tt.k, Size: Estimate{Nodes: 100, Error: 0.05}})
		if got := len(l.newCensus(0x1p-30).places); got != tt.want {
			t.Errorf("with k = %d and %d seeds, %d are asked, want %d", tt.k, tt.seeds, got, tt.want)
		}
	}
	near, grouped, other := placed("near", 30), placed("far 2", 2), placed("far 3", 3)
	grouped.Group, other.Group = "g", "g"
	for _, seeds := range [][]Contact{
		{placed("far 0", 0), placed("far 1", 1), near},
		{placed("far 0", 0), grouped, other},
	} {
		l := NewLookup("self", target, seeds, LookupConfig{Size: Estimate{Nodes: 100, Error: 0.05}})
		if got := len(l.newCensus(0x1p-30).places); got > 0 {
			t.Errorf("%d are asked, of two that are far from the target and of different groups", got)
		}
	}
}

// Contacts that name a thousand others near the target do not keep a census from the seeds that
// are far from it.
func TestCensusOfForgottenSeeds(t *testing.T) {
	var seeds []Contact
	for i := range 4 {
		seeds = append(seeds, placed(fmt.Sprint("far ", i), i))
	}
	l := NewLookup("self", target, seeds, LookupConfig{Size: Estimate{Nodes: 100, Error: 0.05}})
	many := near(target, 256)
	for i := range 4 * len(many) {
		c := many[i%len(many)]
		c.ID, c.Key[30] = peer.ID(fmt.Sprint("near ", i)), byte(i/len(many))
		l.hear(l.paths[0], l.known["far 0"], []Contact{c})
	}
	if got := len(l.newCensus(0x1p-30).places); got != len(seeds) {
		t.Errorf("%d seeds are asked, want %d", got, len(seeds))
	}
}

// The place with the fewest nodes counts for all, whatever its contact says of itself; with
// fewer than three answers, nothing is known.
func TestCensusCount(t *testing.T) {
	var c census
	for i, width := range []int{4, 6, 5} { // the farthest of two differs first in that bit
		if got := c.size(); got != (Size{}) {
			t.Errorf("after %d answers the size is %v", i, got)
		}
		s := &candidate{Contact: placed(fmt.Sprint("place ", i), i)}
		s.about = &candidate{Contact: Contact{ID: "beside", Key: s.Key.flip(200)}}
		near, far := s.Contact, s.Contact
		near.ID, near.Key = "near", s.Key.flip(100)
		far.ID, far.Key = "far", s.about.Key.flip(width)
		beyond := Contact{ID: "beyond", Key: s.Key.flip(1)}
		c.count(s, nil, 2)
		c.count(s, []Contact{s.Contact}, 2)
		c.count(s, []Contact{beyond, far, s.Contact, near}, 2)
	}
	if want := (Size{ranks: 6, reach: 6 * 0x1p-5 / 2}); c.size() != want {
		t.Errorf("the size is %v, want %v", c.size(), want)
	}
}

// A contact that has not answered a census is not asked for the target meanwhile: its answer
// would not show to which of the requests it belongs. With too few answers, the target counts
// as crowded.
func TestCensusUnanswered(t *testing.T) {
	const k = 4
	seeds := near(target, 8)
	for i := range seeds {
		seeds[i].ID = peer.ID(fmt.Sprint("near ", i))
	}
	for i := range 4 {
		seeds = append(seeds, placed(fmt.Sprint("far ", i), 3, 4+i))
	}
	l := NewLookup("self", target, seeds, LookupConfig{K: k, Size: Estimate{Nodes: 16, Error: 0.05}})
	now, asked, about := epoch, make(map[peer.ID]bool), 0
	for l.Result().End == Running {
		switch a := l.Next(now); a.Kind {
		case Ask:
			if asked[a.Contact.ID] {
				t.Fatalf("%q is asked while it is being asked", a.Contact.ID)
			}
			asked[a.Contact.ID] = true
			if a.About.ID == "" {
				l.Answered(a.Contact.ID, nil)
				delete(asked, a.Contact.ID)
			} else if about++; a.About.Key == a.Contact.Key || a.About.Key.CPL(a.Contact.Key) < 5 || a.About.Key != KeyOf([]byte(a.About.ID)) {
				t.Errorf("%v is asked about %v, want a key that shares 5 bits: 16 nodes, eight times as many, and 4 of them", a.Contact.Key, a.About.Key)
			}
		case Wait:
			now = a.Until
		case Drop, Done:
		}
		if now.Sub(epoch) > time.Hour {
			t.Fatal("it does not end")
		}
	}
	if r := l.Result(); !r.Crowded || about != censusPlaces {
		t.Errorf("crowded %v, after %d requests of a census", r.Crowded, about)
	}
}

// A contact that has not answered a census counts as one that has failed, unless it has answered
// for the target before.
func TestCensusFails(t *testing.T) {
	for before, want := range map[state]state{fresh: failed, answered: answered} {
		l := NewLookup("self", target, []Contact{placed("place", 0)}, LookupConfig{})
		place := l.known["place"]
		place.state = before
		l.move(&candidate{Contact: place.Contact, state: waiting, polls: true, about: new(candidate)}, failed)
		if place.state != want {
			t.Errorf("a contact in the state %d is in %d then, want %d", before, place.state, want)
		}
	}
}

// What a census asks is no question about a gap: it takes none of their number, and its answers
// fill no gap.
func TestCensusFillsNoGap(t *testing.T) {
	var seeds []Contact
	for i := range 4 {
		seeds = append(seeds, placed(fmt.Sprint("live ", i), 6-i)) // 1, 2, 4 and 8 parts of 128 away
	}
	l := NewLookup("self", target, seeds, LookupConfig{K: 4, Size: Estimate{Nodes: 128, Error: 0.05}})
	p := l.paths[0]
	for _, polls := range []bool{true, false} {
		want, asked := "live 3", 0
		if !polls {
			want, asked = "live 2", 1
		}
		about := &candidate{Contact: placed("about", 4, 5)} // in the middle of the widest gap
		p.again = []*candidate{{Contact: placed("asked", 4, 5, 200), state: waiting, polls: polls, about: about}}
		if got := l.gap(p); got == nil || string(got.ID) != want {
			t.Errorf("polls %v: the widest gap is near %v, want %s", polls, got, want)
		}
		if got := p.gapRequests(); got != asked {
			t.Errorf("polls %v: %d are asked about gaps, want %d", polls, got, asked)
		}
	}
}
