package node

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	kad "github.com/go-kad/kad/host"
)

const (
	// maxStreams bounds the calls of provideMany that are under way; more of them wait.
	// Each has up to 32 768 CIDs in memory.
	maxStreams = 8

	// maxLine is the length of a line of their bodies.
	maxLine = 512

	// streamPatience is how long such a call waits for its client to send a line, or to read
	// one.
	streamPatience = time.Minute
)

// A providing counts the contents of all calls of provideMany.
type providing struct {
	running                        atomic.Int64 // calls
	read, stored, failed, requests atomic.Int64
}

// provideStatus answers with what became of the contents of all calls of provideMany, and with
// all publications of the node.
func provideStatus(_ context.Context, c *call) (answer, error) {
	p, s := &c.providing, c.dht.Stats()
	body := answer{
		"running": p.running.Load(), "read": p.read.Load(), "stored": p.stored.Load(),
		"failed": p.failed.Load(), "requests": p.requests.Load(),
		"publications": s.Publications, "overdue": s.PublicationsOverdue, "next_hour": s.PublicationsNextHour,
		"under_way": s.PublicationsUnderWay, "published": s.Published, "publish_failed": s.PublishFailed,
		"last_failure": nil,
	}
	if f := s.LastFailure; f.Err != nil {
		failure := answer{"at": f.At, "kind": f.Kind.String(), "keyhex": hex.EncodeToString(f.Key), "reason": OneLine(f.Err)}
		if isText(f.Key) {
			failure["key"] = string(f.Key)
		}
		body["last_failure"] = failure
	}
	return body, nil
}

// A many is a call for many contents: to announce them, or to withdraw them. The body has one CID a
// line, the answer one object.
type many struct {
	*call

	counts   *providing // nil for what is withdrawn
	begun    time.Time
	control  *http.ResponseController
	lines    *bufio.Scanner
	deaf     bool // the client reads no further line
	progress kad.Progress
	requests int
	err      error // that ended the work
}

// streamed serves a call for many contents. It ends with ctx, which is that of the node: what
// the client has sent is announced or withdrawn, also when the client has gone. The timeout of the
// call is without effect, unless it is given.
func (n *node) streamed(ctx context.Context, w http.ResponseWriter, r *http.Request, e endpoint, slots chan struct{}) {
	m := &many{begun: time.Now(), control: http.NewResponseController(w)}
	var err error
	if m.call, err = newCall(n, w, r, e.params); err == nil {
		if m.query.Has("timeout") {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, m.timeout)
			defer cancel()
		}
		err = m.begin(ctx, slots)
	}
	if err != nil {
		write(w, statusOf(ctx, err), answer{"error": OneLine(err), "elapsed_ms": time.Since(m.begun).Milliseconds()})
		return
	}
	defer func() { <-slots }()
	if e.method == http.MethodDelete {
		m.run(ctx, m.withdraw)
		return
	}
	m.counts = &n.providing
	m.counts.running.Add(1)
	defer m.counts.running.Add(-1)
	m.run(ctx, m.announce)
}

// begin waits for the first line of the body, and then for a slot: a client that sends nothing
// has none.
func (m *many) begin(ctx context.Context, slots chan struct{}) error {
	_ = m.control.SetReadDeadline(time.Now().Add(streamPatience))
	body := bufio.NewReader(m.request.Body)
	if _, err := body.Peek(1); err != nil {
		return badArgument("cid is missing, which is not a CID such as bafk...: use cid=CID, or a body with one CID a line")
	}
	m.lines = bufio.NewScanner(body)
	m.lines.Buffer(nil, maxLine)
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-m.request.Context().Done():
		return context.Cause(m.request.Context()) //nolint:contextcheck // the work outlives the client, the wait for a slot does not
	}
}

// run does the work, and tells the client how it ended.
func (m *many) run(ctx context.Context, work func(ctx context.Context) answer) {
	_ = m.control.EnableFullDuplex() // HTTP/2 always has it
	m.writer.Header().Set("Content-Type", "application/x-ndjson")
	m.deaf = m.control.Flush() != nil     // the header: the first line may be long in coming
	defer context.AfterFunc(ctx, func() { // do not wait for the client then
		_ = m.control.SetReadDeadline(time.Now())
		_ = m.control.SetWriteDeadline(time.Now().Add(time.Second))
	})()
	end := work(ctx)
	end["done"], end["elapsed_ms"] = ctx.Err() == nil && m.err == nil, time.Since(m.begun).Milliseconds()
	if ctx.Err() != nil {
		end["error"] = OneLine(context.Cause(ctx))
	} else if m.err != nil {
		end["error"] = OneLine(m.err)
	}
	m.line(ctx, end)
}

// announce announces the contents, and tells the client what became of each.
func (m *many) announce(ctx context.Context) answer {
	traced, trace := kad.WithTrace(ctx)
	known := 0
	count := func(sent int) {
		asked := trace.Stats().Requests
		m.requests += sent + asked - known
		m.counts.requests.Add(int64(sent + asked - known))
		known = asked
	}
	for r := range m.dht.AnnounceMany(traced, m.contents(ctx)) {
		count(r.Receipt.Wanted)
		if !r.Content.Defined() { // the node is closed
			m.err = r.Err
			break
		}
		m.progress.Part = r.Progress.Part
		line, err := receiptAnswer(r.Receipt, r.Err)
		m.tell(ctx, r.Content.String(), line, err)
	}
	count(0)
	return answer{"stored": m.progress.Done - m.progress.Failed, "failed": m.progress.Failed, "requests": m.requests}
}

// withdraw takes back the announcements of the contents. It tells the client of the lines that have
// no CID alone.
func (m *many) withdraw(ctx context.Context) answer {
	if err := m.dht.StopProvidingMany(ctx, m.contents(ctx)); err != nil {
		m.err = err
	}
	return answer{"read": m.progress.Read, "failed": m.progress.Failed}
}

// contents yields the CIDs of the body. A line that has none is told of, and passed over.
func (m *many) contents(ctx context.Context) iter.Seq[cid.Cid] {
	return func(yield func(cid.Cid) bool) {
		for ctx.Err() == nil {
			_ = m.control.SetReadDeadline(time.Now().Add(streamPatience))
			if !m.lines.Scan() {
				break
			}
			text := strings.TrimSpace(m.lines.Text())
			if text == "" {
				continue
			}
			m.progress.Read++
			m.count(1, 0, 0)
			id, err := parseCID(text)
			if err != nil {
				m.tell(ctx, text, nil, err)
				continue
			}
			if !yield(id) {
				return
			}
		}
		if err := m.lines.Err(); err != nil {
			m.err = badArgument("the body could not be read to its end: %v", err)
		}
	}
}

// count adds to the status, which is that of announcements.
func (m *many) count(read, stored, failed int64) {
	if m.counts == nil {
		return
	}
	m.counts.read.Add(read)
	m.counts.stored.Add(stored)
	m.counts.failed.Add(failed)
}

// tell counts what became of a content, and tells the client.
func (m *many) tell(ctx context.Context, content string, line answer, err error) {
	if line == nil {
		line = answer{}
	}
	line["cid"] = content
	m.progress.Done++
	if err != nil {
		line["error"] = OneLine(err)
		m.progress.Failed++
		m.count(0, 0, 1)
	} else {
		m.count(0, 1, 0)
	}
	p := m.progress
	line["progress"] = answer{"read": p.Read, "done": p.Done, "failed": p.Failed, "part": p.Part}
	m.line(ctx, line)
}

// line writes a line of the answer. A client that does not read it gets no other one.
func (m *many) line(ctx context.Context, line answer) {
	if m.deaf {
		return
	}
	if ctx.Err() == nil {
		_ = m.control.SetWriteDeadline(time.Now().Add(streamPatience))
	}
	m.deaf = json.NewEncoder(m.writer).Encode(line) != nil || m.control.Flush() != nil
}
