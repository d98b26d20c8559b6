package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/node"
)

// maxValue is the largest value of a record.
const maxValue = 1 << 20

// A receipt says what became of a record.
type receipt struct {
	cost

	Stored, Wanted int
	Failed         map[string]string
}

// show writes a receipt, and why peers did not store the record.
func (r receipt) show(o *output) {
	o.say("%s", good(fmt.Sprintf("stored by %d of %s", r.Stored, plural(r.Wanted, "peer"))))
	for _, id := range slices.Sorted(maps.Keys(r.Failed)) {
		o.say("  %s: %s", id, r.Failed[id])
	}
	o.say("%s", dim(r.String()))
}

// records are the commands that store and find values and announcements.
func (c *cli) records() []*cobra.Command {
	var quorum, count uint
	put := c.command("put KEY [VALUE]", "Stores a value under a key, /namespace/name; without VALUE, that of stdin.", 1, 2, func(ctx context.Context, s *session, args []string) error {
		return putValue(ctx, s, args, quorum)
	})
	put.Flags().UintVar(&quorum, "quorum", 0, "fail if fewer than `N` peers have stored it; 0: if none has")
	get := c.command("get KEY", "Finds the value of a key, and writes it as it is.", 1, 1, func(ctx context.Context, s *session, args []string) error {
		return getValue(ctx, s, args[0], quorum)
	})
	get.Flags().UintVar(&quorum, "quorum", 0, "end when `N` peers have given the best value; 0: when the closest have been asked")
	providers := c.command("providers CID", "Finds the peers that have a content, other than the node itself.", 1, 1, func(ctx context.Context, s *session, args []string) error {
		return list(ctx, s, "providers", "/v1/providers", "cid", args[0], count)
	})
	peers := c.command("peers NAME", "Finds the peers under a name, other than the node itself.", 1, 1, func(ctx context.Context, s *session, args []string) error {
		return list(ctx, s, "peers", "/v1/peers", "ns", args[0], count)
	})
	for _, cmd := range []*cobra.Command{providers, peers} {
		cmd.Flags().UintVar(&count, "count", 0, "end when `N` are found; 0: all")
	}
	return []*cobra.Command{
		check(put, isKey), check(get, isKey), check(providers, isCID), check(peers, isName),
		check(c.announce("provide [CID]", "Announces that this node has a content; without CID, those of stdin, one a line; by itself, until it is interrupted.", "/v1/provide", "cid"), isCID),
		check(c.announce("advertise NAME", "Announces this node under a name; by itself, until it is interrupted.", "/v1/advertise", "ns"), isName),
	}
}

func putValue(ctx context.Context, s *session, args []string, quorum uint) error {
	var value []byte
	if len(args) == 2 {
		value = []byte(args[1])
	} else {
		var err error
		if value, err = io.ReadAll(io.LimitReader(s.stdin, maxValue+1)); err != nil {
			return fmt.Errorf("the value cannot be read from stdin: %w", err)
		}
	}
	if len(value) > maxValue {
		return node.Usage("the value is too long: use up to %d bytes", maxValue)
	}
	q := append(keyQuery(args[0]), "quorum", fmt.Sprint(quorum))
	return ask(ctx, s, "storing "+args[0], http.MethodPut, "/v1/value", q, value, func(r receipt) { r.show(&s.out) })
}

func getValue(ctx context.Context, s *session, key string, quorum uint) error {
	p := s.progress(ctx, "looking for "+key)
	got, err := s.call(ctx, http.MethodGet, "/v1/value", append(keyQuery(key), "quorum", fmt.Sprint(quorum)), nil)
	p.end()
	if err != nil {
		return s.failed(err)
	}
	if s.out.json {
		elapsed, _ := strconv.ParseFloat(got.header.Get("X-Elapsed-Ms"), 64)
		s.out.object(map[string]any{"key": key, "value": got.body, "elapsed_ms": elapsed}) // in base64, as JSON has bytes
		return nil
	}
	_, err = s.out.Write(got.body)
	return err
}

// failed writes the body of a failure with --json, and returns the error.
func (s *session) failed(err error) error {
	if e, ok := err.(*apiError); ok && s.out.json { //nolint:errorlint // call does not wrap it
		s.out.raw(e.body)
	}
	return err
}

// list writes the peers that a call finds.
func list(ctx context.Context, s *session, field, path, parameter, value string, count uint) error {
	q := query{parameter, value, "count", fmt.Sprint(count)}
	return ask(ctx, s, "looking for "+field+" of "+value, http.MethodGet, path, q, nil, func(a map[string]json.RawMessage) {
		var found []peerInfo
		var c cost
		all, _ := json.Marshal(a)
		_, _ = json.Unmarshal(a[field], &found), json.Unmarshal(all, &c)
		for _, p := range found {
			p.show(&s.out)
		}
		s.out.say("%s", dim(plural(len(found), "peer")+": "+c.String()))
	})
}

// announce returns a command that announces this node. The one that announces contents takes many
// of them from stdin, if it has no argument.
func (c *cli) announce(use, short, path, parameter string) *cobra.Command {
	least := 1
	if parameter == "cid" {
		least = 0
	}
	return c.plain(use, short, least, 1, func(ctx context.Context, args []string) error {
		s, err := c.open(ctx, true)
		if err != nil {
			return err
		}
		defer s.close()
		if len(args) == 0 {
			err = provideMany(ctx, s)
		} else {
			err = ask(ctx, s, "announcing "+args[0], http.MethodPost, path, query{parameter, args[0]}, nil, func(r receipt) { r.show(&s.out) })
		}
		if err != nil || s.own == nil {
			return err
		}
		if !s.quiet {
			_, _ = fmt.Fprintf(s.stderr, "kad: %s is announced while this runs: interrupt it to end that\n", s.own.ID())
		}
		<-ctx.Done()
		return nil
	})
}
