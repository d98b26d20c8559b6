package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A crush is a table among honest peers, and an attacker with many identities, all of which
// answer.
type crush struct {
	tab  *Table
	rnd  *rand.Rand
	now  time.Time
	left int // honest contacts that lost their place
}

// meet has the table hear peers of which group says the Group and the Network; the contacts
// that are to be probed answer.
func (s *crush) meet(n int, name string, rtt time.Duration, group func(i int) (group, network string)) {
	for i := range n {
		c := contact(0)
		for j := range c.Key {
			c.Key[j] = byte(s.rnd.Uint32())
		}
		c.RoundTrip = rtt
		c.Group, c.Network = group(i)
		s.now = s.now.Add(time.Millisecond)
		s.tab.Seen(s.now, c)
		for _, change := range s.tab.Changes() {
			if change.Kind == Left && change.Contact.Network != "" && change.Contact.Network[0] == 'h' && name != "honest" {
				s.left++
			}
		}
		if i%10 == 0 {
			due, _ := s.tab.Due(s.now, 1000)
			for _, c := range due {
				s.tab.Checked(s.now, c, true)
			}
		}
	}
}

// hostile returns which part of the table is of the attacker.
func (s *crush) hostile() float64 {
	hostile, all := 0, 0
	for _, b := range s.tab.Buckets() {
		for _, c := range b.Contacts {
			if all++; c.Network[0] != 'h' {
				hostile++
			}
		}
	}
	return float64(hostile) / float64(all)
}

// An attacker with addresses in some networks gets few places of a table, however many
// identities it has and however quick they are, and puts no contact out that answers.
func TestHostileTable(t *testing.T) {
	long(t)
	const honest, identities = 5000, 100_000
	for _, tt := range []struct {
		name        string
		groups, per int // of the attacker, and how many of them are in one Network
		rtt         time.Duration
		full, first float64 // the most of a table that was full, and of one where it was first
	}{
		{"1 network", 1, 1, 0, 0.02, 0.06},
		{"10 networks", 10, 1, 0, 0.10, 0.35},
		{"10 networks, quick", 10, 1, 2 * time.Millisecond, 0.10, 0.35},
		{"10 networks of one owner", 10, 256, 0, 0.03, 0.35},
		{"256 networks of one owner", 256, 256, 2 * time.Millisecond, 0.03, 0.50},
		{"100 networks, quick", 100, 1, 2 * time.Millisecond, 0.40, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, first := range []bool{false, true} {
				rnd := rand.New(rand.NewPCG(1, 2))
				s := &crush{tab: NewTable(KeyOf([]byte("self")), TableConfig{}), rnd: rnd, now: epoch}
				friends := func() {
					s.meet(honest, "honest", 50*time.Millisecond, func(int) (string, string) {
						network := rnd.IntN(800)
						return fmt.Sprintf("h%d.%d", network, rnd.IntN(20)), fmt.Sprintf("h%d", network)
					})
				}
				attack := func(n int) {
					s.meet(n, "hostile", tt.rtt, func(i int) (string, string) {
						group := i % tt.groups
						return fmt.Sprintf("a%d", group), fmt.Sprintf("a%d", group/tt.per)
					})
				}
				most := tt.full
				if first {
					most = tt.first
					attack(identities / 10)
				}
				friends()
				attack(identities)
				got := s.hostile()
				t.Logf("first: %v: %.1f %% of %d contacts are hostile; %d honest ones lost their place", first, 100*got, s.tab.Len(), s.left)
				if got > most || s.left > 0 {
					t.Errorf("want at most %.0f %%, and no honest one out", 100*most)
				}
			}
		})
	}
}

// misplaced runs a lookup among seeds that name the 20 contacts nearest to the target, and returns
// how many of these are in its result. The first seeds are liars: they answer first, and name them
// where nothing answers; a request there fails, or is not answered.
func misplaced(liars int, hangs bool) (found, requests int) {
	const seeds = 20
	wire := func(list []Contact, at string) []Contact {
		for i := range list {
			list[i].Wire = []byte(at)
		}
		return list
	}
	honest := wire(span(1, seeds), "there")
	isLiar := func(c Contact) int {
		return slices.IndexFunc(span(1001, 1000+liars), func(l Contact) bool { return l.ID == c.ID })
	}
	l := NewLookup(peer.ID("self"), target, wire(span(1001, 1000+seeds), "there"), LookupConfig{SlowAfter: time.Second})
	type end struct {
		at  time.Time
		of  Contact
		bad bool
	}
	var ends []end
	now := epoch
	for {
		switch a := l.Next(now); a.Kind {
		case Done:
			for _, c := range l.Result().Closest {
				if slices.ContainsFunc(honest, func(h Contact) bool { return h.ID == c.ID }) {
					found++
				}
			}
			return found, l.Result().Requests
		case Ask:
			bad := string(a.Contact.Wire) != "there"
			took := time.Duration(20+requests%40) * time.Millisecond
			if requests++; isLiar(a.Contact) >= 0 {
				took = time.Millisecond
			}
			if !bad || !hangs {
				ends = append(ends, end{now.Add(took), a.Contact, bad})
				slices.SortStableFunc(ends, func(a, b end) int { return a.at.Compare(b.at) })
			}
		case Wait:
			if len(ends) == 0 || ends[0].at.After(a.Until) {
				now = a.Until
				continue
			}
			e := ends[0]
			ends, now = ends[1:], e.at
			if e.bad {
				l.Failed(e.of.ID)
				continue
			}
			named := honest
			if i := isLiar(e.of); i >= 0 {
				named = wire(span(1, seeds), fmt.Sprint("elsewhere ", i))
			}
			l.Answered(e.of.ID, named)
		case Also:
			if string(a.Contact.Wire) == "there" {
				ends = append(ends, end{now.Add(40 * time.Millisecond), a.Contact, false})
				slices.SortStableFunc(ends, func(a, b end) int { return a.at.Compare(b.at) })
			}
		case Drop:
		}
	}
}

// A contact that names one several times, as when it is asked about another peer too, has one word.
func TestOneWordEach(t *testing.T) {
	c := &candidate{Contact: Contact{Wire: []byte("gone")}, state: failed}
	liar := new(candidate)
	for i := range maxWords {
		c.alsoAt(word{liar, fmt.Append(nil, "elsewhere ", i%2)})
	}
	for range 2 {
		c.alsoAt(word{new(candidate), []byte("there")})
	}
	if at := string(mostSaid(c.others).wire); at != "there" {
		t.Errorf("it is asked %s, and two contacts say that it is there, one does not", at)
	}
}

// Liars that name honest contacts, at addresses where these are not, and before all others do,
// hide none of them if a request there fails, and a few from one lookup if it hangs.
func TestHostileAddresses(t *testing.T) {
	for _, tt := range []struct {
		liars int
		hangs bool
		want  int
	}{{0, false, 20}, {1, false, 20}, {5, false, 20}, {10, false, 20}, {0, true, 20}, {1, true, 20}, {2, true, 20}, {5, true, 20}, {10, true, 20}} {
		found, requests := misplaced(tt.liars, tt.hangs)
		t.Logf("%d liars of 20 contacts, a request hangs %v: %d of the 20 closest are found, with %d requests", tt.liars, tt.hangs, found, requests)
		if found < tt.want {
			t.Errorf("with %d liars, a request hangs %v: %d of the 20 closest are found, want %d", tt.liars, tt.hangs, found, tt.want)
		}
	}
}
