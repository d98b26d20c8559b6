package node

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Clients that send nothing, or slowly, hold none of the slots of the others.
func TestSlowClientsHoldNoSlot(t *testing.T) {
	n := start(t)
	for range maxStreams {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.API, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "POST /v1/provide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") { // it reads the body
			t.Fatal(line, err)
		}
	}
	if r := n.do("POST /v1/provide?timeout=2s", someCID+"\n"); r.status != http.StatusOK {
		t.Errorf("beside clients that send nothing: %d %s", r.status, r.body)
	}
}

// The body of a request of delegated routing is read before it has a slot.
func TestSlowBodyHoldsNoSlot(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	handler := inTurn(answer, make(chan struct{}, 1))
	body, write := io.Pipe()
	done := make(chan string)
	go func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPut, routingPath, body))
		done <- w.Body.String()
	}()
	if _, err := io.WriteString(write, "slow"); err != nil { // returns when it was read
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, routingPath, nil).WithContext(t.Context())
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("beside a slow client: %d", w.Code)
	}
	_ = write.Close()
	if got := <-done; got != "slow" {
		t.Errorf("the slow one is answered %q", got)
	}
}
