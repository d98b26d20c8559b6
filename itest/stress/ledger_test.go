//go:build unix

package stress

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// second returns a moment, in seconds since an arbitrary one.
func second(s float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(s * float64(time.Second)))
}

// A scene is a ledger with peers that have run for 100 s: servers with a directory, except "m",
// which has none, and "c", which is a client.
func scene(names string) *ledger {
	l := newLedger(4, 10*time.Second)
	for n := range strings.SplitSeq(names, "") {
		l.peers[n] = &history{
			id: n, server: n != "c", keeps: n != "m",
			lives: []*life{{addrs: []string{"/" + n}, began: second(-101), up: second(-100)}},
		}
	}
	return l
}

// stored enters a put of a value under the key, from second 0 to 1.
func (l *ledger) stored(number int, holders string) {
	l.values["key"] = append(l.values["key"], &write{
		number: number, by: "a", begin: second(0), end: second(1), wanted: 4, holders: strings.Split(holders, ""),
	})
}

// killed ends the process of a peer, and starts it again.
func (l *ledger) killed(name string, at, again float64) {
	h := l.peers[name]
	last := h.last()
	last.ending, last.ended = second(at), second(at+0.1)
	h.lives = append(h.lives, &life{addrs: last.addrs, began: second(again), up: second(again + 0.1)})
}

// paused stops the process of a peer for a while.
func (l *ledger) paused(name string, from, to float64) {
	last := l.peers[name].last()
	last.pauses = append(last.pauses, pause{second(from), second(from), second(to), second(to)})
}

func TestGet(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene func(l *ledger)
		value string // "": not found
		wrong string
	}{
		{"not found", func(l *ledger) { l.stored(1, "bdef") }, "", "4 of these peers hold it"},
		{"found", func(l *ledger) { l.stored(1, "bdef") }, valueOf(1), ""},
		{"older", func(l *ledger) { l.stored(1, "bdef"); l.stored(2, "bdef") }, valueOf(1), "number 1, and number 2 is there"},
		{"newer", func(l *ledger) { l.stored(1, "bdef"); l.stored(2, "b") }, valueOf(2), ""},
		{"stored on few", func(l *ledger) { l.stored(1, "b") }, "", ""},
		{"stored on few, the newer", func(l *ledger) { l.stored(1, "bdef"); l.stored(2, "b") }, valueOf(1), ""},
		{"damaged", func(l *ledger) { l.stored(1, "bdef") }, valueOf(1) + "x", "was never put"},
		{"another", func(l *ledger) { l.stored(1, "bdef") }, valueOf(3), "was never put"},
		{"half stopped", func(l *ledger) { l.stored(1, "bdef"); l.paused("b", 15, 19); l.paused("d", 15, 19) }, "", "2 of these peers hold it"},
		{"most stopped", func(l *ledger) {
			l.stored(1, "bdef")
			for _, n := range []string{"b", "d", "e"} {
				l.paused(n, 15, 19)
			}
		}, "", ""},
		{"killed with directories", func(l *ledger) {
			l.stored(1, "bdef")
			for _, n := range []string{"b", "d", "e", "f"} {
				l.killed(n, 2, 5)
			}
		}, "", "4 of these peers hold it"},
		{"just back", func(l *ledger) {
			l.stored(1, "bdef")
			for _, n := range []string{"b", "d", "e"} {
				l.killed(n, 2, 15)
			}
		}, "", ""},
		{"killed without", func(l *ledger) { l.stored(1, "m"); l.values["key"][0].wanted = 1; l.killed("m", 2, 5) }, "", ""},
		{"not killed", func(l *ledger) { l.stored(1, "m"); l.values["key"][0].wanted = 1 }, "", "1 of these peers hold it"},
		{"killed meanwhile", func(l *ledger) { l.stored(1, "b"); l.values["key"][0].wanted = 1; l.killed("b", 20.5, 22) }, "", ""},
		{"under way", func(l *ledger) { l.stored(1, "bdef"); l.values["key"][0].end = second(20.5) }, "", ""},
		{"never acknowledged", func(l *ledger) { l.stored(1, "bdef"); l.values["key"][0].end = time.Time{} }, valueOf(1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := scene("abdefm")
			c.scene(l)
			a := answer{value: c.value}
			if c.value == "" {
				a.outcome = absent
			}
			got, _ := l.checkGet("key", second(20), second(21), a)
			check(t, got, c.wrong)
			if got, _ := l.checkGet("key", second(20), second(21), answer{outcome: unanswered}); got != "" {
				t.Errorf("an error is no false answer, and is %q", got)
			}
		})
	}
}

// check compares what is false with what should be: "" means nothing.
func check(t *testing.T, got, want string) {
	t.Helper()
	if (got == "") != (want == "") || !strings.Contains(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestProviders(t *testing.T) {
	at := func(ids ...string) (a answer) {
		for _, id := range ids {
			a.peers = append(a.peers, peerAt{id, []string{"/" + id}})
		}
		return a
	}
	for _, c := range []struct {
		name   string
		claims string // the peers that announce the content
		change func(l *ledger)
		answer answer
		wrong  string
		short  bool
	}{
		{"all", "ad", nil, at("a", "d"), "", false},
		{"none", "ad", nil, at(), "no provider, and a is one", false},
		{"one of two", "ad", nil, at("d"), "", true},
		{"one that is none", "a", nil, at("a", "d"), "d has never announced it", false},
		{"the asker alone", "b", nil, at(), "", false},
		{"withdrawn", "a", func(l *ledger) { l.claims["hash"][0].withdrawn = second(3) }, at(), "", false},
		{"the provider was killed", "m", func(l *ledger) { l.killed("m", 2, 5) }, at(), "no provider, and m is one", false},
		{"a wrong address", "a", nil, answer{peers: []peerAt{{"a", []string{"/x"}}}}, "a is at [/x], and listens at [/a]", false},
		{"one address of two", "a", nil, answer{peers: []peerAt{{"a", []string{"/x", "/a"}}}}, "", false},
		{"an error", "a", nil, answer{outcome: unanswered}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := scene("abdefm")
			for id := range strings.SplitSeq(c.claims, "") {
				l.claims["hash"] = append(l.claims["hash"], &write{
					by: id, begin: second(0), end: second(1), wanted: 4, holders: []string{"b", "d", "e", "f"},
				})
			}
			if c.change != nil {
				c.change(l)
			}
			got, _, short := l.checkProviders("hash", "b", second(40), second(41), c.answer)
			check(t, got, c.wrong)
			if short != c.short {
				t.Errorf("short is %v, want %v", short, c.short)
			}
		})
	}
}

func TestReceipt(t *testing.T) {
	l := scene("abdef")
	l.killed("d", 2, 30)
	l.paused("e", 2, 30)
	l.peers["g"] = &history{id: "g", server: true, lives: []*life{{began: second(19)}}} // it starts, and has not said that it is up
	for _, c := range []struct {
		from, to float64
		wanted   int
		stored   string
		wrong    string
	}{
		{20, 21, 4, "bf", ""},
		{20, 21, 4, "bx", "x has stored it, and was not there"},
		{20, 21, 4, "bd", "d has stored it, and was not there"},
		{1, 21, 4, "bd", ""}, // it may have stored it before it was killed
		{20, 31, 4, "bd", ""},
		{20, 21, 4, "be", "e has stored it, and was not there"},
		{20, 31, 4, "be", ""},
		{20, 21, 4, "bg", ""},
		{18, 18.5, 4, "bg", "g has stored it, and was not there"},
		{1, 1.5, 1, "b", "it is for 1 peers, and there are 4 at least"},
		{1, 1.5, 2, "b", ""},
		{20, 21, 1, "b", ""}, // two steady servers besides the writer
		{1, 1.5, 4, "", "no peer has stored it"},
	} {
		a := answer{wanted: c.wanted}
		if c.stored != "" {
			a.stored = strings.Split(c.stored, "")
		}
		check(t, l.checkReceipt("a", second(c.from), second(c.to), a), c.wrong)
	}
}

func TestRefusal(t *testing.T) {
	l := scene("ab")
	l.stored(2, "b")
	no := answer{outcome: refused}
	check(t, l.checkRefusal("key", 1, second(5), no), "")
	check(t, l.checkRefusal("key", 1, second(-1), no), "refused")
	check(t, l.checkRefusal("key", 3, second(5), no), "refused")
	check(t, l.checkRefusal("key", 3, second(5), answer{}), "")
}

func TestFind(t *testing.T) {
	l := scene("abd")
	l.paused("d", 2, 8)
	there := func(addr string) answer { return answer{peers: []peerAt{{addrs: []string{addr}}}} }
	for _, c := range []struct {
		id    string
		at    float64
		a     answer
		wrong string
	}{
		{"a", 1, answer{outcome: absent}, "not found"},
		{"a", 1, there("/a"), ""},
		{"a", 1, there("/b"), "a is at [/b]"},
		{"a", 1, answer{outcome: unanswered}, ""},
		{"d", 20, answer{outcome: absent}, ""}, // within 30 s
		{"d", 20, there("/b"), ""},
		{"d", 50, answer{outcome: absent}, "not found"},
		{"x", 1, answer{outcome: absent}, ""},
		{"x", 1, there("/x"), "x was never there"},
	} {
		check(t, l.checkFind(c.id, second(c.at), second(c.at+1), c.a), c.wrong)
	}
	check(t, l.checkPing("d", second(3), second(7), answer{}), "was not there")
	check(t, l.checkPing("d", second(3), second(9), answer{}), "")
	check(t, l.checkPing("x", second(3), second(9), answer{}), "was not there")
	check(t, l.checkPing("x", second(3), second(9), answer{outcome: unanswered}), "")
}

func TestHeld(t *testing.T) {
	l := scene("abm")
	l.stored(2, "bm")
	w := l.values["key"][0]
	check(t, l.checkHeld("key", w, "b", second(2), valueOf(2), true), "")
	check(t, l.checkHeld("key", w, "b", second(2), valueOf(3), true), "")
	check(t, l.checkHeld("key", w, "b", second(2), valueOf(1), true), "b has acknowledged number 2")
	check(t, l.checkHeld("key", w, "b", second(2), "", false), "b has acknowledged number 2")
	check(t, l.checkClaimHeld("hash", w, "b", second(2), true), "")
	check(t, l.checkClaimHeld("hash", w, "b", second(2), false), "b has acknowledged that a provides")
	l.killed("m", 1.5, 3)
	check(t, l.checkHeld("key", w, "m", second(4), "", false), "")
	check(t, l.checkClaimHeld("hash", w, "m", second(4), false), "")
}

func TestValues(t *testing.T) {
	for number := 1; number < 30; number++ {
		v := valueOf(number)
		if got, ok := numberOf(v); got != number || !ok {
			t.Errorf("%q has the number %d, %v", v, got, ok)
		}
		if _, ok := numberOf(v[:len(v)-1]); ok && number%13 > 0 {
			t.Errorf("%q passes without its end", v)
		}
	}
	for _, bad := range []string{"", "x", "000000000", strconv.Itoa(1)} {
		if _, ok := numberOf(bad); ok {
			t.Errorf("%q passes", bad)
		}
	}
}
