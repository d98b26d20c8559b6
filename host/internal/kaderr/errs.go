// Package kaderr has the sentinel errors of a DHT, and the codes with which a stream
// is reset so that the other side learns the reason. It is pure.
package kaderr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

// The sentinels that package host exports under the same names, and documents.
var (
	ErrNotFound      error = notFoundError{}
	ErrUnanswered          = errors.New("kad: too few of the closest peers have answered")
	ErrNoContacts          = errors.New("kad: routing table is empty")
	ErrRefused             = errors.New("kad: refused by the peer")
	ErrInvalidRecord       = errors.New("kad: invalid record")
	ErrOldRecord           = errors.New("kad: a better value is already stored")
	ErrClosed              = errors.New("kad: closed")
)

// The sentinels of the rooms.
var (
	// ErrNotSent is the failure of a request that was given up before anything was
	// sent or dialled. It says nothing about the peer.
	ErrNotSent = errors.New("kad: the request was given up before it was sent")

	// ErrSingle says that there is no peer to ask, because this node is the only server of
	// its network. What it does not hold itself is not there.
	ErrSingle = fmt.Errorf("%w: this node is the only server of its network", ErrNotFound)

	// ErrTooMany refuses a value that would take a set of values over its limit.
	ErrTooMany = errors.New("kad: the key holds as many values as its Reducer allows")

	// ErrOverQuota refuses a record beyond the share of its sender.
	ErrOverQuota = errors.New("kad: the peer has used up its share of the store (Config.MaxBytesPerPeer)")

	// ErrForbidden refuses a request that Config.OnRequest returns an error for.
	ErrForbidden = errors.New("kad: refused by Config.OnRequest")

	// ErrExpired refuses a record that had expired before it arrived.
	ErrExpired = errors.New("kad: it has expired already")

	// ErrBadProof refuses an announcement that a peer passes on without the
	// provider's signature.
	ErrBadProof = errors.New("kad: no signature of the provider proves this announcement")

	// ErrBadProvider refuses an announcement that does not name its sender, or has no
	// address that other peers can dial.
	ErrBadProvider = errors.New("kad: an announcement must name its sender, with an address that others can dial")
)

// notFoundError is the type of [ErrNotFound].
type notFoundError struct{}

func (notFoundError) Error() string { return "kad: not found" }

// Unwrap returns libp2p's own error.
func (notFoundError) Unwrap() error { return lrouting.ErrNotFound }

// maxNamed is how many peers the text of an error names: enough to see a pattern,
// and short enough for a log line.
const maxNamed = 4

// ByPeer lists the entries of m in a stable order, the first four of them.
func ByPeer[V any](m map[peer.ID]V, text func(V) string) string {
	var b strings.Builder
	for i, id := range slices.Sorted(maps.Keys(m)) {
		if i == maxNamed {
			fmt.Fprintf(&b, ", and %d more", len(m)-maxNamed)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(id.String() + ": " + text(m[id]))
	}
	return b.String()
}

// Reasons lists the errors of peers.
func Reasons(failed map[peer.ID]error) string {
	return ByPeer(failed, func(err error) string {
		return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "kad: ")
	})
}

// Plural returns "1 peer", "2 peers", "2 addresses".
func Plural(n int, what string) string {
	if n != 1 {
		if strings.HasSuffix(what, "s") {
			what += "e"
		}
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// Speaks says which protocols of Kademlia a peer speaks, or, if there are none, which others.
func Speaks(ids []lprotocol.ID) string {
	if len(ids) == 0 {
		return "has not said what it speaks"
	}
	names := slices.Sorted(slices.Values(lprotocol.ConvertToStrings(ids)))
	if ours := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasSuffix(name, "/kad/1.0.0") }); len(ours) > 0 {
		return "is of another network: it speaks " + strings.Join(ours, " ")
	}
	return "speaks " + strings.Join(names, " ")
}

// A ClockError is the failure of a dial whose cause is the clock of this host, or of the peer.
type ClockError struct {
	Off time.Duration // how far this host is ahead of the peer at least; negative if it is behind
	Err error
}

func (e *ClockError) Error() string { return e.Err.Error() }

// Unwrap returns the failure.
func (e *ClockError) Unwrap() error { return e.Err }
