package node

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

const (
	// minToken and maxToken bound the characters of a token: a shorter one could be guessed.
	minToken = 16
	maxToken = 512
)

// ReadToken reads the token of an API from the first line of a file.
func ReadToken(file string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // the file that the user named
	if err != nil {
		return "", fmt.Errorf("%w: name a file whose first line is the token, such as that of: openssl rand -hex 32", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+2))
	if err != nil {
		return "", err
	}
	token, _, _ := strings.Cut(string(text), "\n")
	token = strings.TrimSuffix(token, "\r")
	if len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("the first line of %s is no token: use %d to %d letters and digits, such as those of: openssl rand -hex 32", file, minToken, maxToken)
	}
	return token, nil
}

// errNoToken refuses the page to another machine where there is no token.
var errNoToken = errors.New("the page is for this machine alone: give the node --api-token for others")

// authorize lets the requests pass that have the token. If there is none, it refuses the page to
// other machines, and lets all other requests pass. A request is of this machine if it has
// reached the loopback interface, or comes from a loopback address and asks for one: a page of a
// stranger in a browser on this machine has another Host.
func authorize(next http.Handler, token string, loopback bool) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token == "" {
			from, _, err := net.SplitHostPort(r.RemoteAddr)
			if loopback || !ofPage(r.URL.Path) || err == nil && isLoopback(from) && isLoopback(hostname(r.Host)) {
				next.ServeHTTP(w, r)
				return
			}
			refuse(w, http.StatusForbidden, "%v", errNoToken)
			return
		}
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, given, _ = r.BasicAuth()
		}
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="kad node: the token is the password", charset="UTF-8"`)
			refuse(w, http.StatusUnauthorized, "the API takes a token: send Authorization: Bearer TOKEN, or it as the password of any user")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ofPage reports whether a path is of the page, and not of the API, delegated routing or the
// metrics.
func ofPage(path string) bool {
	return !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/routing/v1/") && path != "/metrics"
}
