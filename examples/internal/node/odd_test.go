package node

import (
	"net/url"
	"strings"
	"testing"
)

// Each endpoint answers values of its parameters that make no sense, in JSON or as a value.
func TestOddRequests(t *testing.T) {
	first := start(t)
	n := start(t, "--join", first.Addrs[0])
	n.get("GET /v1/ready", "")
	odd := []string{
		"", "\x00", "\xff", "/", "-1", "0", "1", "9223372036854775807", "99999999999999999999", "-1s", "1ns", "2562047h", "/v/", "zz", strings.Repeat("a", 8000),
		"/p2p/", "/p2p-circuit", "/memory/1/p2p/" + nobody, "/unix/a/p2p/" + nobody, "/ip4/127.0.0.1/p2p/" + nobody,
		nobody, n.ID, first.ID, someCID, "bafkqaaa", "bafyqa",
	}
	for _, e := range endpoints() {
		for _, name := range append([]string{"none"}, e.params...) {
			values := odd
			if name == "none" {
				values = odd[:1] // no endpoint reads it
			}
			for _, value := range values {
				what := e.method + " " + e.path + "?timeout=20ms&" + url.Values{name: {value}}.Encode()
				r := n.do(what, value)
				if r.status < 200 || r.status > 599 || r.header.Get("Content-Type") == "" {
					t.Errorf("%.100q = %d %s", what, r.status, r.body)
				}
			}
		}
	}
	n.get("GET /v1/id", "")
}
