package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	kad "github.com/go-kad/kad/host"
)

// A heldJSON is what the node holds, as a line of GET /v1/held.
type heldJSON struct {
	Key    string `json:"key"` // text; empty if it is none
	KeyHex string `json:"keyhex"`
	Kind   string `json:"kind"` // value or announcement
	Size   int    `json:"size"`
	Left   *int64 `json:"left_ms"` // null: it does not expire
	Age    int64  `json:"age_ms"`
	Peer   string `json:"peer,omitempty"` // that published or provides it
}

// heldOf returns an entry as JSON has it.
func heldOf(h kad.Held, now time.Time) heldJSON {
	line := heldJSON{KeyHex: hex.EncodeToString(h.Key), Kind: h.Kind.String(), Size: h.Size, Age: now.Sub(h.Received).Milliseconds(), Peer: h.Peer.String()}
	if isText(h.Key) {
		line.Key = string(h.Key)
	}
	if !h.Expires.IsZero() {
		left := h.Expires.Sub(now).Milliseconds()
		line.Left = &left
	}
	return line
}

// isText reports whether a key can be shown.
func isText(key []byte) bool {
	for _, r := range string(key) {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// listHeld answers GET /v1/held: one object a line. A failure on the way is the last line.
func (n *node) listHeld(w http.ResponseWriter, r *http.Request, readers chan struct{}) {
	c, err := newCall(n, w, r, nil)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s", OneLine(err))
		return
	}
	if !takeReader(w, readers) {
		return
	}
	defer func() { <-readers }()
	ctx, cancel := context.WithTimeout(r.Context(), c.timeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	lines := json.NewEncoder(w)
	now := time.Now()
	for h, err := range n.dht.Held(ctx) {
		if out.SetWriteDeadline(time.Now().Add(readerWait)) != nil {
			return
		}
		var line any = heldOf(h, now)
		if err != nil {
			line = answer{"error": OneLine(err)}
		}
		if lines.Encode(line) != nil {
			return
		}
	}
}
