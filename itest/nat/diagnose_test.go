//go:build linux

package nat

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A situation is one of which a node says what is wrong.
type situation struct {
	name           string
	flavour        Flavour
	nat, filtering string                                    // what it says of them; "": it does not matter
	advice         string                                    // in one of the sentences; "": no sentence is about the router
	begin          func(t *testing.T, w *world, i int) error // what is wrong from the beginning; may be nil
	later          func(w *world, i int) error               // what happens when the node has a relay; may be nil
}

func situations() []situation {
	const only = "dialled peers only"
	return []situation{
		{"a common router", Cone, natIndependent, only, "", nil, nil},
		{"a symmetric router", Symmetric, natDependent, only, "another port for each peer", nil, nil},
		{"no UDP gets through", NoUDP, "", "", "Permit outgoing UDP", nil, nil},
		{"a path MTU of 1 280", Cone, "", "", "has a small MTU", func(_ *testing.T, w *world, i int) error { return w.Narrow(i, 1280) }, nil},
		{"the machine loses its network", Cone, "", "", "lost its network", nil, func(w *world, i int) error { return w.Hosts[i].Cut(true) }},
		{"the relay's port is not let out", Cone, "", "", "was reached: a firewall", func(t *testing.T, w *world, i int) error {
			t.Helper()
			return w.LetOut(i, w.portsOfPlain(t))
		}, nil},
	}
}

// portsOfPlain returns the ports of the public nodes that do not relay, which iptables reads.
func (w *world) portsOfPlain(t *testing.T) string {
	t.Helper()
	var ports []string
	for _, n := range w.public[w.relays:] {
		addrs, err := n.addrs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`/(?:tcp|udp)/(\d+)`).FindAllStringSubmatch(strings.Join(addrs, " "), -1) {
			if !slices.Contains(ports, found[1]) {
				ports = append(ports, found[1])
			}
		}
	}
	return strings.Join(ports, ",")
}

// A node says what its network does, and what would help, soon after it has begun; and nothing
// that is of no use.
func TestDiagnose(t *testing.T) {
	var behind []Flavour
	for _, s := range situations() {
		behind = append(behind, s.flavour)
	}
	w := newWorld(t, 1, behind...)
	var mu sync.Mutex
	said := make(map[string]string)
	t.Run("situations", func(t *testing.T) {
		for i, s := range situations() {
			if s.begin != nil {
				if err := s.begin(t, w, i); err != nil {
					t.Fatal(err)
				}
			}
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				n, began := w.begin(t, i), time.Now()
				var last diagnosis
				t.Cleanup(func() { t.Logf("%+v", last) })
				look := func(ctx context.Context) bool {
					last = diagnosis{}
					return n.call(ctx, http.MethodGet, "/v1/diagnose", nil, &last) == nil
				}
				if s.later != nil {
					eventually(t, "the node has a relay", func(ctx context.Context) bool { return look(ctx) && len(last.Relays) > 0 })
					if err := s.later(w, i); err != nil {
						t.Fatal(err)
					}
					began = time.Now()
				}
				eventually(t, "the node says what is wrong", func(ctx context.Context) bool {
					return look(ctx) && (s.nat == "" || last.nat() == s.nat) && (s.advice == "" || last.advises(s.advice))
				})
				took := time.Since(began)
				if took > goalDiagnosed {
					t.Errorf("it said so after %v, want at most %v", took, goalDiagnosed)
				}
				if blocked, offline := s.flavour == NoUDP, s.later != nil && strings.Contains(s.advice, "network"); last.UDPBlocked != blocked || last.Offline != offline {
					t.Errorf("UDP is blocked: %v, want %v; offline: %v, want %v", last.UDPBlocked, blocked, last.Offline, offline)
				}
				if s.later != nil && len(last.Relays) > 0 {
					t.Errorf("it names relays that do not answer: %q", last.Relays)
				}
				for _, other := range situations() {
					if other.advice != "" && other.advice != s.advice && last.advises(other.advice) {
						t.Errorf("it advises what is of no use: %q", last.Advice)
					}
				}
				if s.advice != "" && last.advises("Look whether they run") {
					t.Errorf("it doubts the bootstrap peers, which run: %q", last.Advice)
				}
				if last.advises("EnableHolePunching") {
					t.Errorf("it advises an option that it has: %q", last.Advice)
				}
				eventually(t, "the node says what its router lets in", func(ctx context.Context) bool {
					return s.filtering == "" || look(ctx) && last.Filtering == s.filtering
				})
				mu.Lock()
				defer mu.Unlock()
				said[s.name] = fmt.Sprintf("| %s | %s | %s | %s | %s |\n", s.name, seconds(took), last.nat(), last.Filtering, strings.Join(last.Advice, " "))
			})
		}
	})
	var table strings.Builder
	for _, s := range situations() {
		table.WriteString(said[s.name])
	}
	record(10, "What a node says of its network", "| situation | after | NAT | filtering | advice |\n|---|---|---|---|---|\n"+table.String())
}

// goalDiagnosed is how soon a node is to say what is wrong.
const goalDiagnosed = 15 * time.Second

// A diagnosis is what a node says of its network.
type diagnosis struct {
	NAT            struct{ TCP, UDP string }
	Filtering      string
	UDPBlocked     bool `json:"udp_blocked"`
	Offline        bool
	Relays, Advice []string
}

// nat returns how the router maps ports, the less favourable of both transports.
func (d diagnosis) nat() string {
	switch {
	case d.NAT.TCP == natDependent || d.NAT.UDP == natDependent:
		return natDependent
	case d.NAT.TCP == natIndependent || d.NAT.UDP == natIndependent:
		return natIndependent
	}
	return "unknown"
}

// How a router maps ports.
const (
	natIndependent = "endpoint independent"
	natDependent   = "endpoint dependent"
)

// advises reports whether one of the sentences of advice has some text.
func (d diagnosis) advises(text string) bool {
	return strings.Contains(strings.Join(d.Advice, "\n"), text)
}
