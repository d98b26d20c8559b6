//go:build linux

package nat

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A node says how its router maps ports, and when no UDP gets through, soon after it has begun.
func TestDiagnose(t *testing.T) {
	kinds := []struct {
		flavour     Flavour
		nat, advice string // advice: in one of the sentences, and "" if no sentence is about the router
	}{
		{Cone, "endpoint independent", ""},
		{Symmetric, "endpoint dependent", "another port for each peer"},
		{NoUDP, "", "Permit outgoing UDP"},
	}
	var behind []Flavour
	for _, k := range kinds {
		behind = append(behind, k.flavour)
	}
	w := newWorld(t, 1, behind...)
	var mu sync.Mutex
	said := make(map[Flavour]string)
	t.Run("situations", func(t *testing.T) {
		for i, k := range kinds {
			t.Run(fmt.Sprint(k.flavour), func(t *testing.T) {
				t.Parallel()
				n, began := w.begin(t, i), time.Now()
				var last diagnosis
				t.Cleanup(func() { t.Logf("NAT %q, advice %q", last.NAT, last.Advice) })
				eventually(t, "the node says what is wrong", func(ctx context.Context) bool {
					last = diagnosis{}
					return n.call(ctx, http.MethodGet, "/v1/diagnose", nil, &last) == nil && last.says(k.nat, k.advice)
				})
				took := time.Since(began)
				t.Logf("after %v", took)
				if took > goalUnseen {
					t.Errorf("it said so after %v, want at most %v", took, goalUnseen)
				}
				for _, other := range kinds {
					if other.advice != "" && other.advice != k.advice && last.advises(other.advice) {
						t.Errorf("it advises what is of no use: %q", last.Advice)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				said[k.flavour] = fmt.Sprintf("| %s | %s | %s | %s |\n", k.flavour, seconds(took), last.NAT, strings.Join(last.Advice, " "))
			})
		}
	})
	var table strings.Builder
	for _, k := range kinds {
		table.WriteString(said[k.flavour])
	}
	record(10, "What a node says of its network", "| router | after | NAT | advice |\n|---|---|---|---|\n"+table.String())
}

// A diagnosis is what a node says of its network.
type diagnosis struct {
	NAT    string
	Advice []string
}

// says reports whether a diagnosis has a type of NAT and some advice, where they are not empty.
func (d diagnosis) says(nat, advice string) bool {
	return (nat == "" || d.NAT == nat) && (advice == "" || d.advises(advice))
}

// advises reports whether one of the sentences of advice has some text.
func (d diagnosis) advises(text string) bool {
	return strings.Contains(strings.Join(d.Advice, "\n"), text)
}
