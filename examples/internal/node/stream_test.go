package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// cids returns CIDs, one a line.
func cids(t *testing.T, name string, count int) string {
	t.Helper()
	var lines strings.Builder
	for i := range count {
		hash, err := multihash.Sum(fmt.Append(nil, name, i), multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&lines, cid.NewCidV1(cid.Raw, hash))
	}
	return lines.String()
}

// await waits until a number of the status is as large as want.
func (n *running) await(name string, want float64) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		status := n.get("GET /v1/provide/status", "")
		if got, _ := status[name].(float64); got >= want {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("status = %v; want %s = %v", status, name, want)
		}
	}
}

// lastLine returns the last line of an answer, and how many there are before it by kind.
func lastLine(t *testing.T, body io.Reader) (last map[string]any, receipts, errors int) {
	t.Helper()
	for lines := bufio.NewScanner(body); lines.Scan(); {
		last = nil
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		switch {
		case last["done"] != nil:
			return last, receipts, errors
		case last["error"] != nil:
			errors++
		default:
			checkStored(t, last)
			receipts++
		}
	}
	t.Fatalf("the answer ends with %v", last)
	return nil, 0, 0
}

// stream begins to send a body of CIDs, and returns the answer when it begins. Unlike that of
// do, the request goes on when the test of n ends.
func (n *running) stream(body io.Reader) *http.Response {
	n.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, n.API+providePath, body)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: n.client.Transport, Timeout: patience}).Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp
}

// The CIDs of a body are announced, and each has a line in the answer.
func testProvideMany(t *testing.T, a, _, c *running) {
	const count = 300
	body := cids(t, "many", count)
	r := a.do("POST /v1/provide", "\nno CID\n"+body)
	last, receipts, errors := lastLine(t, strings.NewReader(string(r.body)))
	if receipts != count || errors != 1 || last["done"] != true || last["stored"] != float64(count) || last["failed"] != 1.0 {
		t.Errorf("%d receipts, %d errors, then %v; want %d and 1", receipts, errors, last, count)
	}
	if requests, _ := last["requests"].(float64); requests < 2*count || requests > 3*count {
		t.Errorf("%v requests, want 2 for each of %d contents, and some", last["requests"], count)
	}
	for id := range strings.Lines(body) {
		found := c.get("GET /v1/providers?cid="+strings.TrimSpace(id), "")
		if got := ids(t, found["providers"]); len(got) != 1 || got[0] != a.ID {
			t.Errorf("providers of %s: %v", id, got)
		}
	}
	status := a.get("GET /v1/provide/status", "")
	published, _ := status["published"].(float64)
	if scheduled, _ := status["publications"].(float64); scheduled < count || published < count || status["overdue"] != 0.0 || status["under_way"] != 0.0 {
		t.Errorf("status = %v; want %d publications, none of them overdue or under way", status, count)
	}
	failed := status["publish_failed"].(float64)
	a.do("PUT /v1/value?key=/none/key", "value") // no rule says whether it is valid
	status = a.get("GET /v1/provide/status", "")
	last, _ = status["last_failure"].(map[string]any)
	if reason, _ := last["reason"].(string); status["publish_failed"] != failed+1 || last["kind"] != "value" || last["key"] != "/none/key" || !strings.Contains(reason, "none") {
		t.Errorf("status = %v; want one more failure, and its reason", status)
	}
	long := a.do("POST /v1/provide", cids(t, "long", 1)+strings.Repeat("x", maxLine+1))
	if last, receipts, _ := lastLine(t, strings.NewReader(string(long.body))); receipts != 1 || last["done"] != false || last["error"] == nil {
		t.Errorf("a long line: %d receipts, then %v", receipts, last)
	}
}

// The contents of a body are withdrawn, and the answer says how many lines were read.
func testWithdrawMany(t *testing.T, a, _, _ *running) {
	const count = 100
	body := cids(t, "withdrawn", count)
	a.do("POST /v1/provide", body)
	before := a.get("GET /v1/provide/status", "")
	r := a.do("DELETE /v1/provide", "no CID\n"+body)
	last, _, errors := lastLine(t, strings.NewReader(string(r.body)))
	if r.status != http.StatusOK || errors != 1 || last["done"] != true || last["read"] != count+1.0 || last["failed"] != 1.0 || last["error"] != nil {
		t.Errorf("%d, %d errors, then %v; want that %d lines are read, and one has no CID", r.status, errors, last, count+1)
	}
	after := a.get("GET /v1/provide/status", "")
	if was, is := before["publications"].(float64), after["publications"].(float64); is != was-count || after["read"] != before["read"] {
		t.Errorf("status = %v, before it %v; want %d publications fewer, and no other announcements read", after, before, count)
	}
	if r := a.do("DELETE /v1/provide", ""); r.status != http.StatusBadRequest {
		t.Errorf("without a CID: %d %s", r.status, r.body)
	}
}

// What a client has sent is announced when the client has gone.
func testProvideGone(t *testing.T, _, b, _ *running) {
	const count = 100
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.API, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := cids(t, "gone", count)
	fmt.Fprintf(conn, "POST /v1/provide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", 2*len(body), body)
	b.await("read", count)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	b.await("stored", count)
}

// A node that stops does not wait for the rest of a body, and says why it ends.
func TestStopEndsStreams(t *testing.T) {
	body, rest := io.Pipe()
	defer rest.Close()
	var resp *http.Response
	t.Run("node", func(t *testing.T) {
		n := start(t)
		go func() { _, _ = io.WriteString(rest, someCID+"\n") }()
		resp = n.stream(body)
		n.await("read", 1)
	})
	defer resp.Body.Close()
	last, _, _ := lastLine(t, resp.Body)
	if text, _ := last["error"].(string); last["done"] != false || !strings.Contains(text, "stopping") {
		t.Errorf("the answer ends with %v; want that the node is stopping", last)
	}
}
