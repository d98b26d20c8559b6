package node

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-kad/kad/host/events"
)

const (
	maxReaders = 16               // of events, and of what is held, at once; more are refused
	readerWait = 10 * time.Second // how long a reader may leave what is written unread
)

// takeReader takes a place for a reader, and refuses the call if there is none.
func takeReader(w http.ResponseWriter, readers chan<- struct{}) bool {
	select {
	case readers <- struct{}{}:
		return true
	default:
		refuse(w, http.StatusServiceUnavailable, "%d programs read streams already: end one of them", maxReaders)
		return false
	}
}

// streamEvents answers GET /v1/events: server-sent events, one for each event of the DHT,
// until the reader goes away, the timeout that it gave passes, or the node stops.
func (n *node) streamEvents(w http.ResponseWriter, r *http.Request, readers chan struct{}) {
	c, err := newCall(n, w, r, nil)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s", OneLine(err))
		return
	}
	if !takeReader(w, readers) {
		return
	}
	defer func() { <-readers }()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if c.query.Has("timeout") {
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	happens := n.dht.Events(ctx) // from before the reader sees the head of the answer
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // that of the request would end the stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if !push(w, out, nil) || r.Method == http.MethodHead {
		return
	}
	for e := range happens {
		switch what := e.What.(type) {
		case events.JoinFailed:
			what.Reason = inFlags(what.Reason)
			e.What = what
		case events.Published:
			what.Reason = inFlags(what.Reason)
			e.What = what
		}
		text, err := json.Marshal(e)
		if err != nil || !push(w, out, text) {
			return
		}
	}
}

// push sends one event at once, or, without text, the head of the answer. It reports
// whether the reader has taken it.
func push(w http.ResponseWriter, out *http.ResponseController, text []byte) bool {
	if out.SetWriteDeadline(time.Now().Add(readerWait)) != nil {
		return false
	}
	if text != nil {
		if _, err := w.Write([]byte("data: " + string(text) + "\n\n")); err != nil {
			return false
		}
	}
	return out.Flush() == nil
}
