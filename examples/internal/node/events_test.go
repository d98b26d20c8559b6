package node

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-kad/kad/routing"
)

// subscribe opens the stream of events of a node. It returns the reader, and a function
// that goes away.
func (n *running) subscribe(t *testing.T) (stream *bufio.Scanner, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.API+"/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s; want a stream of events", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return bufio.NewScanner(resp.Body), cancel
}

// A reader of the events sees a lookup from its beginning to its end.
func TestEvents(t *testing.T) {
	a := start(t)
	b := start(t, "--join", a.Addrs[0])
	b.get("GET /v1/ready", "")
	stream, _ := b.subscribe(t)
	b.get("GET /v1/closest?key=abc", "")
	key := routing.KeyOf([]byte("abc"))
	target := hex.EncodeToString(key[:])
	seen := make(map[string]int) // of lookups of the key: the node looks others up by itself
	began := make(map[uint64]bool)
	for seen["lookup_ended"] == 0 && stream.Scan() {
		text, ok := strings.CutPrefix(stream.Text(), "data: ")
		if !ok {
			if stream.Text() != "" {
				t.Fatalf("the stream has %q", stream.Text())
			}
			continue
		}
		var e struct {
			Type   string
			At     time.Time
			Lookup uint64
			Target string
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.At.IsZero() {
			t.Fatalf("%s: %v; want an object with type and at", text, err)
		}
		began[e.Lookup] = began[e.Lookup] || e.Type == "lookup_began" && e.Target == target
		if began[e.Lookup] {
			seen[e.Type]++
		}
	}
	if seen["lookup_began"] == 0 || seen["lookup_asked"] == 0 || seen["lookup_answered"] == 0 {
		t.Errorf("events: %v; want those of a lookup", seen)
	}
	if r := b.do("GET /v1/events?timeout=1ms", ""); r.status != http.StatusOK {
		t.Errorf("with a timeout: %d %s; want an end", r.status, r.body)
	}
	if r := b.do("GET /v1/events?x=1", ""); r.status != http.StatusBadRequest {
		t.Errorf("with a parameter that there is not: %d", r.status)
	}
	if r := b.do("POST /v1/events", ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.status)
	}
}

// The reason of a failure has the names of flags, since the reader has no Config.
func TestEventReason(t *testing.T) {
	stream, _ := start(t).subscribe(t)
	for stream.Scan() {
		var e struct{ Type, Reason string }
		text, _ := strings.CutPrefix(stream.Text(), "data: ")
		if json.Unmarshal([]byte(text), &e) != nil || e.Type != "join_failed" {
			continue
		}
		if !strings.HasPrefix(e.Reason, "routing table is empty") || !strings.Contains(e.Reason, "--join") || strings.Contains(e.Reason, "Config.") {
			t.Errorf("the reason is %q; want it in terms of the flags", e.Reason)
		}
		return
	}
	t.Error("the node does not say that it cannot join")
}

// Readers are bounded, and one that goes away makes room.
func TestEventReaders(t *testing.T) {
	n := start(t)
	var leave func()
	for range maxReaders {
		_, leave = n.subscribe(t)
	}
	if r := n.do("GET /v1/events", ""); r.status != http.StatusServiceUnavailable {
		t.Fatalf("one reader too many: %d %s; want 503", r.status, r.body)
	}
	leave()
	deadline := time.Now().Add(patience)
	for n.do("GET /v1/events?timeout=1ms", "").status != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("a reader that has gone away keeps its place")
		}
	}
}

// A node stops within 5 s while a reader is attached.
func TestProcessEvents(t *testing.T) {
	n, end := launch(t, build(t), "--listen", "/ip4/127.0.0.1/tcp/0")
	stream, _ := n.subscribe(t)
	end(syscall.SIGTERM)
	for stream.Scan() {
	}
}
