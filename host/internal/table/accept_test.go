package table

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A peer that Accept refuses is no contact, however it comes: by an answer, since it is
// connected, or since it asks. It is not told of, not asked, and not dialled again.
func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := calltest.ID(1), calltest.ID(2)
		var seen []peer.AddrInfo
		f := newTable(t, Config{Accept: func(p peer.AddrInfo) bool {
			seen = append(seen, p)
			return p.ID != bad
		}})
		for _, id := range []peer.ID{good, bad} {
			f.at(id)
			f.speak(t, id, testProtocol)
			f.answer(id)
			if got, want := f.Has(id), id == good; got != want {
				t.Errorf("%s is a contact: %v, want %v", id, got, want)
			}
			if got, want := f.Announcement(id) != nil, id == good; got != want {
				t.Errorf("%s is told of: %v, want %v", id, got, want)
			}
			c := routing.ContactOf(id)
			if got, want := f.MayAsk(c, roomtest.Addrs("/ip4/10.0.0.1/tcp/1")), id == good; got != want {
				t.Errorf("%s may be asked: %v, want %v", id, got, want)
			}
		}
		if f.Wants(bad) || f.WantsAsker(bad) {
			t.Error("the refused peer is to be introduced")
		}
		if len(seen) == 0 || slices.ContainsFunc(seen, func(p peer.AddrInfo) bool { return len(p.Addrs) == 0 }) {
			t.Errorf("Accept was called with %v, want each with its address", seen)
		}
		if f.Announcement(f.host.ID()) == nil {
			t.Error("this node is not told of")
		}
		if text := f.NotReady(nil).Error(); !strings.Contains(text, "Config.Accept refuses it") {
			t.Errorf("%q does not say what filters", text)
		}
	})
}

// A contact that is refused later leaves the table when it answers, or is checked, and does
// not come back as a departed one.
func TestAcceptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := false
		id := calltest.ID(1)
		f := newTable(t, Config{Accept: func(peer.AddrInfo) bool { return !refuses }})
		f.at(id)
		f.speak(t, id, testProtocol)
		for _, again := range []func(){
			func() { f.answer(id) },
			func() { f.Checked(routing.ContactOf(id), Answered, 0) },
			func() { f.Wants(id) },
		} {
			if f.answer(id); !f.Has(id) {
				t.Fatal("an accepted peer is no contact")
			}
			refuses = true
			if again(); f.Has(id) {
				t.Error("a peer that is refused now is still a contact")
			}
			if len(f.Departed(10)) > 0 {
				t.Error("it is to be dialled again")
			}
			refuses = false
		}
	})
}

// The addresses of an answer decide, or those that the host knows if it has none.
func TestAcceptByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{Accept: func(p peer.AddrInfo) bool {
			return !strings.HasPrefix(p.Addrs[0].String(), "/ip4/10.")
		}})
		id := calltest.ID(1)
		ask := func(addrs ...string) bool {
			c := routing.ContactOf(id)
			parsed := roomtest.Addrs(addrs...)
			c.Wire = announce.Encode(protocol.Peer{ID: id, Addrs: parsed})
			return f.MayAsk(c, parsed)
		}
		if ask("/ip4/10.0.0.1/tcp/1") || !ask("/ip4/192.168.0.1/tcp/1") {
			t.Error("the addresses of the answer do not decide")
		}
		f.host.Peerstore().AddAddrs(id, roomtest.Addrs("/ip4/10.0.0.1/tcp/1"), 1<<40)
		if ask() {
			t.Error("the addresses that the host knows do not decide")
		}
	})
}
