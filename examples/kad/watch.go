package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/node"
	"github.com/go-kad/kad/examples/internal/version"
)

// pingCommand returns the command ping.
func (c *cli) pingCommand() *cobra.Command {
	var count uint
	var interval time.Duration
	cmd := c.command("ping PEER", "Connects to a peer, by its ID or its address, and measures round trips.", 1, 1, func(ctx context.Context, s *session, args []string) error {
		if interval < 0 {
			return node.Usage("--interval is %v: use 0s or more, such as 1s", interval)
		}
		return s.ping(ctx, args[0], count, interval)
	})
	cmd.Flags().UintVar(&count, "count", 4, "how many `TIMES`; 0: until it is interrupted")
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "the time between two, a `DURATION`")
	return check(cmd, isPeerOrAddr)
}

// ping pings a peer, and says at its end, also when it is interrupted, how it went.
func (s *session) ping(ctx context.Context, target string, count uint, interval time.Duration) error {
	where := query{"id", target}
	if strings.HasPrefix(target, "/") {
		where = query{"addr", target}
	}
	type answer struct {
		Via, Agent string
		RTT        float64 `json:"rtt_ms"`
	}
	var trips []time.Duration
	for sent := uint(0); count == 0 || sent < count; sent++ {
		if sent > 0 && !sleep(ctx, interval) {
			break
		}
		err := ask(ctx, s, "pinging "+target, http.MethodGet, "/v1/ping", slices.Clone(where), nil, func(a answer) {
			trips = append(trips, time.Duration(a.RTT*float64(time.Millisecond)))
			s.out.say("%s, %s, %s", good(milliseconds(a.RTT)), a.Via, a.Agent)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	if !s.out.json && len(trips) > 1 {
		s.out.say("%s: %s", plural(len(trips), "answer"), quantiles(trips))
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return nil
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// quantiles returns how durations are spread, in words.
func quantiles(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(d))
	at := func(q float64) string {
		return milliseconds(float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Millisecond))
	}
	return fmt.Sprintf("least %s, median %s, 90 %% within %s, most %s", at(0), at(0.5), at(0.9), at(1))
}

// eventsCommand returns the command events.
func (c *cli) eventsCommand() *cobra.Command {
	var all bool
	cmd := c.command("events", "What happens in a node, as it happens, until it is interrupted.", 0, 0, func(ctx context.Context, s *session, _ []string) error {
		stream, err := s.events(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = stream.Body.Close() }()
		err = each(stream.Body, func(text []byte) {
			if s.out.json {
				s.out.raw(text)
			} else {
				s.showEvent(text, all)
			}
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("the events have ended: %w", err)
		default:
			return errors.New("the node has ended")
		}
	})
	cmd.Flags().BoolVar(&all, "all", false, "also each request of a lookup")
	return cmd
}

// showEvent writes an event for people.
func (s *session) showEvent(text []byte, all bool) {
	var e struct {
		At                               time.Time
		Missed                           uint64
		Type, Says, Reason, Target, Peer string
		End                              string
		Lookup                           uint64
		Requests, Answered, Hops         int
		Closest                          []string
		Kind, Key                        string
		Stored, Wanted                   int
	}
	if json.Unmarshal(text, &e) != nil {
		return
	}
	if e.Missed > 0 {
		s.out.say("%s", bad(fmt.Sprintf("%d events are lost: they came faster than they were read", e.Missed)))
	}
	var line string
	switch {
	case e.Says != "" && e.Reason != "":
		line = e.Says + ": " + e.Reason
	case e.Says != "":
		line = e.Says
	case e.Type == "published":
		line = fmt.Sprintf("%s %s stored by %d of %d peers", e.Kind, keyText(e.Key), e.Stored, e.Wanted)
		if e.Reason != "" {
			line += ": " + e.Reason
		}
	case e.Type == "lookup_began":
		line = fmt.Sprintf("lookup %d of %.16s… begins", e.Lookup, e.Target)
	case e.Type == "lookup_ended":
		line = fmt.Sprintf("lookup %d: %s, %s, %s, %d answered, %s found", e.Lookup, e.End, plural(e.Hops, "hop"), plural(e.Requests, "request"), e.Answered, plural(len(e.Closest), "peer"))
	case strings.HasPrefix(e.Type, "lookup_") && !all:
		return
	case strings.HasPrefix(e.Type, "lookup_"):
		line = fmt.Sprintf("lookup %d: %s %s %s", e.Lookup, e.Peer, strings.TrimPrefix(e.Type, "lookup_"), e.Reason)
	default:
		line = strings.ReplaceAll(e.Type, "_", " ") + " " + e.Peer
	}
	s.out.say("%s %s", dim(e.At.Local().Format("15:04:05.000")), strings.TrimSpace(line))
}

// keyText returns a key in hexadecimal as text if it is, else in the way in which commands take it.
func keyText(key string) string {
	text, err := hex.DecodeString(key)
	if err != nil || !utf8.Valid(text) || strings.ContainsFunc(string(text), func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "0x" + key
	}
	return string(text)
}

// benchCommand returns the command bench.
func (c *cli) benchCommand() *cobra.Command {
	var lookups, parallel int
	cmd := c.command("bench", "How long lookups of random keys take.", 0, 0, func(ctx context.Context, s *session, _ []string) error {
		if lookups < 1 || parallel < 1 || parallel > 256 {
			return node.Usage("--lookups is %d and --parallel %d: use 1 or more, and up to 256 in parallel", lookups, parallel)
		}
		if err := ready(ctx, s); err != nil {
			return err
		}
		return s.bench(ctx, lookups, parallel)
	})
	cmd.Flags().IntVar(&lookups, "lookups", 100, "how many `TIMES`")
	cmd.Flags().IntVar(&parallel, "parallel", 4, "how many at once, `N`")
	return cmd
}

// A benchmark collects what lookups took.
type benchmark struct {
	mu       sync.Mutex
	took     []time.Duration
	requests int
	hops     int
	failed   int
	why      string // of the last failure
}

// bench looks up random keys, and says at its end, also when it is interrupted, how long
// that took.
func (s *session) bench(ctx context.Context, lookups, parallel int) error {
	shown, p := s.newProgress(ctx, "looking up random keys")
	defer p.end()
	var b benchmark
	begun := time.Now()
	turns := make(chan struct{})
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for range turns {
				s.benchOne(shown, &b)
				b.mu.Lock()
				p.set(fmt.Sprintf("%d of %d, %d failed", len(b.took), lookups, b.failed))
				b.mu.Unlock()
			}
		})
	}
	for range lookups {
		select {
		case turns <- struct{}{}:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(turns)
	wg.Wait()
	p.end()
	took := time.Since(begun)
	s.showBench(&b, took)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case len(b.took) == 0:
		return fmt.Errorf("none of %s succeeded: %s", plural(lookups, "lookup"), b.why)
	}
	return nil
}

// benchOne does one lookup of a random key.
func (s *session) benchOne(ctx context.Context, b *benchmark) {
	begun := time.Now()
	key := fmt.Sprintf("0x%016x%016x", rand.Uint64(), rand.Uint64())
	got, err := s.call(ctx, http.MethodGet, "/v1/closest", keyQuery(key), nil)
	var a cost
	if err == nil {
		err = json.Unmarshal(got.body, &a)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		b.failed++
		b.why = node.OneLine(err)
	default:
		b.took = append(b.took, time.Since(begun))
		b.requests += a.Lookup.Requests
		b.hops += a.Lookup.Hops
	}
}

// showBench writes what lookups took.
func (s *session) showBench(b *benchmark, took time.Duration) {
	n := max(len(b.took), 1)
	if s.out.json {
		sorted := slices.Sorted(slices.Values(b.took))
		at := func(q float64) float64 {
			if len(sorted) == 0 {
				return 0
			}
			return float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Millisecond)
		}
		s.out.object(map[string]any{
			"lookups": len(b.took), "failed": b.failed, "elapsed_ms": float64(took) / float64(time.Millisecond),
			"median_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "requests_each": float64(b.requests) / float64(n), "hops_each": float64(b.hops) / float64(n),
		})
		return
	}
	s.out.say("%s in %s, %d failed", plural(len(b.took), "lookup"), milliseconds(float64(took)/float64(time.Millisecond)), b.failed)
	s.out.say("%s", quantiles(b.took))
	s.out.say("%.1f requests and %.1f hops each", float64(b.requests)/float64(n), float64(b.hops)/float64(n))
}

// versionCommand returns the command version.
func (c *cli) versionCommand() *cobra.Command {
	return c.plain("version", "The version of this program.", 0, 0, func(context.Context, []string) error {
		v := version.Read()
		if c.out.json {
			c.out.object(map[string]any{"version": v.Module, "revision": v.Revision, "go": v.Go, "platform": v.Platform})
			return nil
		}
		c.out.say("kad %s", v)
		return nil
	})
}
