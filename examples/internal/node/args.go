package node

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

const (
	defaultTimeout = 30 * time.Second

	// MaxTimeout bounds the timeout of a call.
	MaxTimeout = 10 * time.Minute

	// What the DHT has room for. It refuses more itself; here that is the fault
	// of the caller.
	maxKey         = 1 << 10
	maxValue       = 1 << 20
	maxProviderKey = 80
)

// A call is one request to the API.
type call struct {
	*node

	timeout time.Duration
	raw     []byte // set by the handler: the answer, instead of an object

	query   url.Values
	body    []byte // read before the call has its turn
	request *http.Request
	writer  http.ResponseWriter
}

// newCall checks that a request has the parameters it may have, each once.
func newCall(n *node, w http.ResponseWriter, r *http.Request, params []string) (*call, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badArgument("the query cannot be read: %v", err)
	}
	allowed := append([]string{"timeout"}, params...)
	for name, values := range query {
		if !slices.Contains(allowed, name) {
			return nil, badArgument("there is no parameter %q: use %s", name, strings.Join(allowed, ", "))
		}
		if len(values) > 1 {
			return nil, badArgument("parameter %q is given %d times: give it once", name, len(values))
		}
	}
	c := &call{node: n, query: query, request: r, writer: w, timeout: defaultTimeout}
	if query.Has("timeout") {
		c.timeout, err = time.ParseDuration(query.Get("timeout"))
		if err != nil || c.timeout <= 0 || c.timeout > MaxTimeout {
			return nil, badArgument("timeout is %q: use a duration such as 500ms or 30s, up to %v", query.Get("timeout"), MaxTimeout)
		}
	}
	return c, nil
}

// key returns the key of the call, as text or as bytes.
func (c *call) key() ([]byte, error) {
	if c.query.Has("key") == c.query.Has("keyhex") {
		return nil, badArgument("the key is missing or given twice: use key=TEXT or keyhex=HEX")
	}
	key := []byte(c.query.Get("key"))
	if c.query.Has("keyhex") {
		var err error
		if key, err = hex.DecodeString(c.query.Get("keyhex")); err != nil {
			return nil, badArgument("keyhex is not hexadecimal: %v", err)
		}
	}
	if len(key) == 0 || len(key) > maxKey {
		return nil, badArgument("the key has %d bytes: use 1 to %d", len(key), maxKey)
	}
	return key, nil
}

// id returns the peer ID of the call.
func (c *call) id() (peer.ID, error) {
	id, err := peer.Decode(c.query.Get("id"))
	if err != nil {
		return "", badArgument("id is %q, which is not a peer ID such as 12D3Koo...: %v", c.query.Get("id"), err)
	}
	return id, nil
}

// cid returns the CID of the call.
func (c *call) cid() (cid.Cid, error) {
	return parseCID(c.query.Get("cid"))
}

// parseCID returns a CID that can be announced.
func parseCID(text string) (cid.Cid, error) {
	id, err := cid.Decode(text)
	if err != nil {
		return cid.Undef, badArgument("cid is %q, which is not a CID such as bafk...: %v", text, err)
	}
	if len(id.Hash()) > maxProviderKey {
		return cid.Undef, badArgument("the multihash of the cid has %d bytes: use up to %d", len(id.Hash()), maxProviderKey)
	}
	return id, nil
}

// namespace returns the CID of the rendezvous namespace of the call.
func (c *call) namespace() (cid.Cid, error) {
	id, err := kad.NamespaceCID(c.query.Get("ns"))
	if err != nil {
		return cid.Undef, badArgument("ns is missing: name what is to be found, such as ns=my-app/lobby")
	}
	return id, nil
}

// number returns a parameter that is a number from 0 on, and 0 by default.
func (c *call) number(name string) (int, error) {
	if !c.query.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(c.query.Get(name), 10, 31)
	if err != nil {
		return 0, badArgument("%s is %q: use a number, 0 or more", name, c.query.Get(name))
	}
	return int(n), nil
}

// readBody reads the body of the call: a value, or nothing.
func (c *call) readBody() (err error) {
	c.body, err = io.ReadAll(http.MaxBytesReader(c.writer, c.request.Body, maxValue))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return badArgument("the value is too long: use up to %d bytes", maxValue)
	}
	if err != nil {
		return badArgument("the value could not be read: %v", err)
	}
	return nil
}
