package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A peerInfo is a peer in an answer of the API.
type peerInfo struct {
	ID    string
	Addrs []string
}

// show writes a peer: its ID, and its addresses below it.
func (p peerInfo) show(o *output) {
	o.say("%s", p.ID)
	for _, a := range p.Addrs {
		o.say("  %s", dim(a))
	}
}

// looks are the commands that look at a node or at the network, and change nothing.
func (c *cli) looks() []*cobra.Command {
	return []*cobra.Command{
		c.command("id", "Who and where a node is.", 0, 0, showID),
		c.command("table", "The routing table of a node, bucket by bucket.", 0, 0, showTable),
		c.command("diagnose", "How a node can be found and reached, and what would improve it.", 0, 0, showDiagnosis),
		c.command("held", "What a node holds for the network: values and announcements.", 0, 0, showHeld),
		c.command("stats", "The counters and gauges of a node.", 0, 0, showStats),
		check(c.command("find PEER", "Finds the addresses of a peer, by its ID.", 1, 1, findPeer), isPeer),
		check(c.command("closest KEY", "Finds the peers that are closest to a key: text, or 0x and hexadecimal.", 1, 1, findClosest), isKey),
	}
}

func showID(ctx context.Context, s *session, _ []string) error {
	type answer struct {
		peerInfo

		Mode, Network string
		Reason        string `json:"mode_reason"`
	}
	return ask(ctx, s, "asking the node", http.MethodGet, "/v1/id", nil, nil, func(a answer) {
		a.show(&s.out)
		s.out.say("network %s, %s: %s", a.Network, a.Mode, a.Reason)
	})
}

func showTable(ctx context.Context, s *session, _ []string) error {
	if s.own != nil { // it has just begun to join
		if err := ready(ctx, s); err != nil {
			return err
		}
	}
	type contact struct {
		peerInfo

		LastSeen float64 `json:"last_seen_ms"`
		RTT      float64 `json:"rtt_ms"`
	}
	type answer struct {
		Size    int
		Buckets []struct {
			CPL, Pending int
			Contacts     []contact
		}
	}
	return ask(ctx, s, "reading the table", http.MethodGet, "/v1/table", nil, nil, func(a answer) {
		s.out.say("%s in %s", plural(a.Size, "contact"), plural(len(a.Buckets), "bucket"))
		lines := [][]string{{"bits", "peer", "round trip", "seen ago", "address"}}
		for _, b := range a.Buckets {
			for _, k := range b.Contacts {
				addr := ""
				if len(k.Addrs) > 0 {
					addr = k.Addrs[0]
				}
				lines = append(lines, []string{fmt.Sprint(b.CPL), k.ID, milliseconds(k.RTT), milliseconds(k.LastSeen), addr})
			}
		}
		s.out.rows(lines)
	})
}

// ready waits until the lookups of a node work.
func ready(ctx context.Context, s *session) error {
	p := s.progress(ctx, "joining the network")
	defer p.end()
	_, err := s.call(ctx, http.MethodGet, "/v1/ready", nil, nil)
	return err
}

func showDiagnosis(ctx context.Context, s *session, _ []string) error {
	type answer struct {
		Ready         bool
		NotReady      string `json:"not_ready"`
		Reachability  string
		Source        string `json:"reachability_source"`
		Mode          string
		Reason        string `json:"mode_reason"`
		NAT           struct{ TCP, UDP string }
		Filtering     string
		Relays, Addrs []string
		FoundBy       struct{ Asked, Told int } `json:"found_by"`
		Advice        []string
	}
	return ask(ctx, s, "diagnosing", http.MethodGet, "/v1/diagnose", nil, nil, func(a answer) {
		state := good("lookups work")
		if !a.Ready {
			state = bad("lookups do not work") + ": " + a.NotReady
		}
		s.out.say("%s", state)
		s.out.say("reachability: %s (%s)", a.Reachability, a.Source)
		s.out.say("mode: %s (%s)", a.Mode, a.Reason)
		s.out.say("NAT: TCP %s, UDP %s; filtering: %s", a.NAT.TCP, a.NAT.UDP, a.Filtering)
		s.out.say("found by %d of the %d closest peers that answered", a.FoundBy.Told, a.FoundBy.Asked)
		for _, r := range a.Relays {
			s.out.say("relay: %s", r)
		}
		for _, addr := range a.Addrs {
			s.out.say("address: %s", addr)
		}
		for _, text := range a.Advice {
			s.out.say("%s", text)
		}
	})
}

// showHeld shows what a node holds, as it is read.
func showHeld(ctx context.Context, s *session, _ []string) error {
	resp, err := s.request(ctx, http.MethodGet, "/v1/held", query{"timeout", s.timeout.String()}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	type entry struct {
		Error, Key, KeyHex, Kind, Peer string

		Size int
		Left *float64 `json:"left_ms"`
	}
	count, size := 0, 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("the answer of %s cannot be read: %w", s.url, err)
		}
		switch {
		case s.out.json:
			s.out.raw(lines.Bytes())
		case e.Error == "":
			key, left := e.Key, "until the node takes it back"
			if key == "" {
				key = "0x" + e.KeyHex
			}
			if e.Kind == "value" {
				key += fmt.Sprintf("  %s,", plural(e.Size, "byte"))
			}
			if e.Left != nil {
				left = "for " + (time.Duration(*e.Left) * time.Millisecond).Round(time.Second).String()
			}
			s.out.say("%-12s  %s %s  %s", e.Kind, key, left, dim(e.Peer))
		}
		if e.Error != "" {
			return errors.New(e.Error)
		}
		count, size = count+1, size+e.Size
	}
	if !s.out.json && lines.Err() == nil {
		s.out.say("%s, %s", plural(count, "record"), plural(size, "byte"))
	}
	return lines.Err()
}

func showStats(ctx context.Context, s *session, _ []string) error {
	return ask(ctx, s, "asking the node", http.MethodGet, "/v1/stats", nil, nil, func(a map[string]json.RawMessage) {
		var lines [][]string
		for _, name := range slices.Sorted(maps.Keys(a)) {
			lines = append(lines, []string{name, string(a[name])})
		}
		s.out.rows(lines)
	})
}

func findPeer(ctx context.Context, s *session, args []string) error {
	type answer struct {
		cost

		Located []struct {
			Addr, Source string
			Age          *float64 `json:"age_ms"`
		}
	}
	return ask(ctx, s, "looking for the peer", http.MethodGet, "/v1/peer", query{"id", args[0]}, nil, func(a answer) {
		lines := make([][]string, len(a.Located))
		for i, l := range a.Located {
			lines[i] = []string{l.Addr, l.Source}
			if l.Age != nil {
				lines[i] = append(lines[i], milliseconds(*l.Age)+" ago")
			}
		}
		s.out.rows(lines)
		s.out.say("%s", dim(a.String()))
	})
}

func findClosest(ctx context.Context, s *session, args []string) error {
	type answer struct {
		cost

		Peers []peerInfo
	}
	return ask(ctx, s, "looking up "+args[0], http.MethodGet, "/v1/closest", keyQuery(args[0]), nil, func(a answer) {
		for _, p := range a.Peers {
			p.show(&s.out)
		}
		s.out.say("%s", dim(a.String()))
	})
}

// keyQuery returns the parameter of a key.
func keyQuery(key string) query {
	if hex, ok := strings.CutPrefix(key, "0x"); ok {
		return query{"keyhex", hex}
	}
	return query{"key", key}
}
