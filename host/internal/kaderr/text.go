package kaderr

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

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

// Speaks says which protocols a peer speaks.
func Speaks(ids []lprotocol.ID) string {
	if len(ids) == 0 {
		return "has not said what it speaks"
	}
	return "speaks " + strings.Join(lprotocol.ConvertToStrings(ids), " ")
}
