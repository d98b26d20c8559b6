package node

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// What a node holds is listed, one object a line, whatever bytes its key has.
func TestHeld(t *testing.T) {
	nodes := triangle(t)
	a, b := nodes[0], nodes[1]
	if lines := strings.TrimSpace(string(a.do("GET /v1/held", "").body)); lines != "" {
		t.Errorf("a new node holds %s", lines)
	}
	binary := hex.EncodeToString([]byte("/v/\xff\x00"))
	a.get("PUT /v1/value?key=/v/held", "12345")
	a.get("PUT /v1/value?keyhex="+binary, "1")
	a.get("POST /v1/advertise?ns=lobby", "")
	for _, n := range []*running{a, b} {
		got := make(map[string]heldJSON) // by key
		r := n.do("GET /v1/held", "")
		if r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		for line := range strings.Lines(string(r.body)) {
			var e heldJSON
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if e.Kind == "announcement" {
				e.KeyHex = e.Kind
			}
			got[e.KeyHex] = e
		}
		value, odd, announced := got[hex.EncodeToString([]byte("/v/held"))], got[binary], got["announcement"]
		if len(got) != 3 || value.Key != "/v/held" || value.Kind != "value" || value.Size != 5 || value.Left == nil || *value.Left < 1000 || value.Age < 0 {
			t.Errorf("the value is %+v of %d entries", value, len(got))
		}
		if odd.Key != "" || odd.Size != 1 || value.Peer != a.ID || announced.Peer != a.ID {
			t.Errorf("the others are %+v and %+v", odd, announced)
		}
	}
	for call, want := range map[string]int{
		"GET /v1/held?x=1": http.StatusBadRequest, "POST /v1/held": http.StatusMethodNotAllowed, "GET /v1/held?timeout=0s": http.StatusBadRequest,
	} {
		if r := a.do(call, ""); r.status != want {
			t.Errorf("%s: %d %s; want %d", call, r.status, r.body, want)
		}
	}
}
