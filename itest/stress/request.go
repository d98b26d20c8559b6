//go:build unix

package stress

import (
	"context"
	"strings"
)

// A kind is a kind of operation.
type kind int

const (
	put kind = iota
	get
	announce
	providers
	withdraw
	advertise
	discover
	find
	closest
	ping
	kinds
)

// String returns the kind in a word.
func (k kind) String() string {
	return [...]string{"put", "get", "announce", "providers", "withdraw", "advertise", "discover", "find", "closest", "ping"}[k]
}

// An outcome is what an operation says of itself.
type outcome int

const (
	fine       outcome = iota
	absent             // there is none
	unanswered         // too few of the closest peers answered
	unstored           // no peer stored it
	refused            // the value is no good
	notReady
	late // the timeout passed
	gone // the node did not answer: it was killed
	other
	outcomes
)

// String returns the outcome in words.
func (o outcome) String() string {
	return [...]string{"ok", "absent", "unanswered", "not stored", "refused", "not ready", "late", "gone", "other"}[o]
}

// A request is an operation that a node is to carry out.
type request struct {
	kind  kind
	key   string // of a value; a CID, a namespace, a peer ID, as text
	value string
}

// An answer is what came of it.
type answer struct {
	outcome outcome
	why     string // of a failure
	value   string
	peers   []peerAt
	stored  []string // IDs of the peers that stored it
	wanted  int
}

// A peerAt is a peer, and the addresses that were named with it.
type peerAt struct {
	id    string
	addrs []string
}

// A node carries out operations.
type node interface {
	do(ctx context.Context, r request) answer
}

// bare returns an address without the ID of its peer.
func bare(addr string) string {
	at, _, _ := strings.Cut(addr, "/p2p/")
	return at
}
