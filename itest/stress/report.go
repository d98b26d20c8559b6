//go:build unix

package stress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// listed is how many false answers, and failures to start, are kept with their text.
const listed = 100

// A Report is what a run has counted.
type Report struct {
	Took time.Duration

	kinds    [kinds]counts
	held     counts // what peers that acknowledged something were asked for at once
	mishaps  [mishaps]int
	failures []string // of nodes to start
	texts    []string // false answers
	whys     map[string]int
	false    int
}

// counts are what was counted of one kind of operation.
type counts struct {
	all      int
	outcomes [outcomes]int
	short    int
	false    int
	took     []time.Duration
}

// False returns how many answers were false.
func (r *Report) False() int { return r.false }

// Operations returns how many operations were answered.
func (r *Report) Operations() int {
	n := 0
	for _, c := range r.kinds {
		n += c.all
	}
	return n
}

// A tally counts answers while they come, and tells of false ones at once.
type tally struct {
	out   io.Writer
	since time.Time

	mu     sync.Mutex
	report Report
}

// enter counts an answer.
func (t *tally) enter(k kind, via *chosen, key string, a answer, took time.Duration, wrong string, short bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.report.kinds[k]
	c.all++
	c.outcomes[a.outcome]++
	c.took = append(c.took, took)
	if short {
		c.short++
	}
	if a.outcome != fine && a.outcome != absent && a.outcome != gone {
		t.report.whys[fmt.Sprintf("%v: %v: %s", k, a.outcome, anonymous(a.why))]++
	}
	t.judge(c, fmt.Sprintf("%v %s through %s (%v), %v", k, key, via.id, via.role, took.Round(time.Millisecond)), wrong)
}

// enterHeld counts the answer of a peer that has acknowledged something.
func (t *tally) enterHeld(via *chosen, key, wrong string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.held.all++
	t.judge(&t.report.held, fmt.Sprintf("stored %s through %s (%v)", key, via.id, via.role), wrong)
}

// judge counts a false answer, and tells of it. It is called under the lock.
func (t *tally) judge(c *counts, what, wrong string) {
	if wrong == "" {
		return
	}
	c.false++
	t.report.false++
	text := fmt.Sprintf("%7s FALSE: %s: %s", time.Since(t.since).Round(100*time.Millisecond), what, wrong)
	if len(t.report.texts) < listed {
		t.report.texts = append(t.report.texts, text)
		_, _ = fmt.Fprintln(t.out, text)
	}
}

// died counts a process that has ended by itself, as a false answer.
func (t *tally) died(s *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.judge(&t.report.held, fmt.Sprintf("node %d (%v)", s.number, s.role), "it has ended by itself")
}

// trouble counts a mishap.
func (t *tally) trouble(m mishap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.mishaps[m]++
}

// unstarted keeps why a node did not start, or was not ready in time.
func (t *tally) unstarted(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.report.failures) < listed {
		t.report.failures = append(t.report.failures, err.Error())
	}
}

// anonymous returns the text of a failure without what differs each time: IDs, addresses and
// numbers.
func anonymous(why string) string {
	var words []string
	for word := range strings.FieldsSeq(why) {
		if strings.Contains(word, "12D3Koo") || strings.Contains(word, "/ip4/") || strings.ContainsAny(word, "0123456789") {
			word = "…"
		}
		if len(words) == 0 || word != "…" || words[len(words)-1] != "…" {
			words = append(words, word)
		}
	}
	if len(words) > 30 {
		words = append(words[:30], "…")
	}
	return strings.Join(words, " ")
}

// progress returns a line on how far the run is.
func (t *tally) progress(l *lab) string {
	up, paused, down := l.count()
	t.mu.Lock()
	defer t.mu.Unlock()
	var by [outcomes]int
	all := 0
	for _, c := range t.report.kinds {
		all += c.all
		for o, n := range c.outcomes {
			by[o] += n
		}
	}
	took := time.Since(t.since)
	var line strings.Builder
	fmt.Fprintf(&line, "%7s  %d operations, %.0f/s; %d nodes up, %d stopped, %d down;", took.Round(time.Second), all,
		float64(all)/took.Seconds(), up, paused, down)
	for o := fine + 1; o < outcomes; o++ {
		if by[o] > 0 {
			fmt.Fprintf(&line, " %v %d,", o, by[o])
		}
	}
	fmt.Fprintf(&line, " false %d", t.report.false)
	return line.String()
}

// Write writes the report as a table, with the false answers after it.
func (r *Report) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(w, "%v\t", c)
		}
		_, _ = fmt.Fprintln(w)
	}
	head := []any{"operation", "all"}
	for o := range outcomes {
		head = append(head, o)
	}
	row(append(head, "short", "median", "99 %", "FALSE")...)
	for k := range kinds {
		c := r.kinds[k]
		cells := []any{k, c.all}
		for _, n := range c.outcomes {
			cells = append(cells, n)
		}
		row(append(cells, c.short, quantile(c.took, 0.5), quantile(c.took, 0.99), c.false)...)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d operations in %s; %d times, a peer was asked at once for what it had acknowledged (%d false)\n",
		r.Operations(), r.Took.Round(time.Second), r.held.all, r.held.false)
	_, _ = fmt.Fprint(out, "nodes were")
	for m, n := range r.mishaps {
		_, _ = fmt.Fprintf(out, " %v %d times,", mishap(m), n)
	}
	_, _ = fmt.Fprintf(out, " and did not start, or were not ready in time, %d times\n", len(r.failures))
	for _, why := range r.commonWhys(20) {
		_, _ = fmt.Fprintln(out, why)
	}
	for _, f := range r.failures {
		_, _ = fmt.Fprintln(out, f)
	}
	for _, text := range r.texts {
		_, _ = fmt.Fprintln(out, text)
	}
	_, _ = fmt.Fprintf(out, "false answers: %d\n", r.false)
	return err
}

// commonWhys returns the n most frequent reasons of errors.
func (r *Report) commonWhys(n int) []string {
	var whys []string
	for why := range r.whys {
		whys = append(whys, why)
	}
	slices.SortFunc(whys, func(a, b string) int {
		if d := r.whys[b] - r.whys[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	whys = whys[:min(n, len(whys))]
	for i, why := range whys {
		whys[i] = fmt.Sprintf("%6d × %s", r.whys[why], why)
	}
	return whys
}

// quantile returns a quantile of times, rounded.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))].Round(time.Millisecond)
}
