package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-kad/kad/examples/internal/node"
)

// A session is a node that a command works through.
type session struct {
	*cli

	url    string
	token  string     // that the API is sent; empty: none
	own    *node.Node // that runs in this process; nil: another one
	client *http.Client
}

// open returns the node that the flags name. With stays, one of our own can be dialled, and
// serves others if it can be reached.
func (c *cli) open(ctx context.Context, stays bool) (*session, error) {
	s := &session{cli: c, client: &http.Client{Transport: new(http.Transport)}}
	if c.api != "" {
		s.url = c.api
		if !strings.Contains(s.url, "://") {
			s.url = "http://" + s.url
		}
		u, err := url.Parse(s.url)
		if err != nil || u.Host == "" {
			return nil, node.Usage("--api is %q: use the URL that the node printed, such as http://127.0.0.1:5001", c.api)
		}
		s.url = u.Scheme + "://" + u.Host
		if c.token != "" {
			if s.token, err = node.ReadToken(c.token); err != nil {
				return nil, node.Usage("--api-token: %w", err)
			}
		}
		return s, nil
	}
	if c.network == "" {
		return nil, node.Usage("no node and no network is named: use --api URL of a node that runs, or --network NAME with --join ADDRESS")
	}
	args := []string{"--network", c.network, "--log", c.log}
	if !stays {
		args = append(args, "--mode", "client", "--traversal=false", "--listen", "/ip4/127.0.0.1/tcp/0")
	}
	for flag, values := range map[string][]string{"--join": c.join, "--open-namespace": c.namespaces, "--open-set": c.sets} {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	if c.swarmKey != "" {
		args = append(args, "--swarm-key", c.swarmKey)
	}
	own, err := node.Start(ctx, args)
	if err != nil {
		return nil, err
	}
	s.own, s.url = own, own.URL()
	return s, nil
}

// close ends the node of the session, if it is its own.
func (s *session) close() {
	s.client.CloseIdleConnections()
	if s.own != nil {
		s.own.Close()
	}
}

// A reply is what the API answers.
type reply struct {
	header http.Header
	body   []byte
}

// An apiError is the error that the API answers. Its body may have more: a receipt, or what
// was found.
type apiError struct {
	text string
	body []byte
}

func (e *apiError) Error() string { return e.text }

// A query has the parameters of a call: names and values by turns.
type query []string

// call calls the API with the timeout of the flags.
func (s *session) call(ctx context.Context, method, path string, q query, body io.Reader) (reply, error) {
	resp, err := s.request(ctx, method, path, append(q, "timeout", s.timeout.String()), body)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.Header, text}, err
}

// request begins a call. An answer with another status than 200 is an error.
func (s *session) request(ctx context.Context, method, path string, q query, body io.Reader) (*http.Response, error) {
	values := make(url.Values)
	for pair := range slices.Chunk(q, 2) {
		values.Set(pair[0], pair[1])
	}
	target := s.url + path
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the long URL
		}
		return nil, fmt.Errorf("no node answers at %s: %w: does it run, and is that the API that it printed?", s.url, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var object struct{ Error string }
	if json.Unmarshal(text, &object) != nil || object.Error == "" {
		return nil, fmt.Errorf("%s answers %s, and is no node of kad", s.url, resp.Status)
	}
	return nil, &apiError{object.Error, text}
}

// ask calls the API, says meanwhile what it does, and shows the answer: as it is with
// --json, else by show, which is given the answer in the form of T.
func ask[T any](ctx context.Context, s *session, doing, method, path string, q query, body []byte, show func(T)) error {
	p := s.progress(ctx, doing)
	got, err := s.call(ctx, method, path, q, bytes.NewReader(body))
	p.end()
	if failed, ok := errors.AsType[*apiError](err); ok && s.out.json {
		s.out.raw(failed.body)
	}
	if err != nil {
		return err
	}
	if s.out.json {
		s.out.raw(got.body)
		return nil
	}
	var object T
	if err := json.Unmarshal(got.body, &object); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", s.url, err)
	}
	show(object)
	return nil
}

// milliseconds returns a duration for people.
func milliseconds(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
