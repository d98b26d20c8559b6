package table

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// A node is the only server when it has served a client and joins have found no other server
// for 40s, unless it has bootstrap peers, or had a contact.
func TestSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		want := func(when string, want bool) {
			t.Helper()
			if f.FoundNone(); f.Single() != want {
				t.Errorf("%s: Single() = %v", when, !want)
			}
		}
		serve := func() { f.WantsAsker(calltest.ID(1)) }
		want("no join", false)
		time.Sleep(2 * singleAfter)
		want("no client", false)
		serve()
		want("a client", true)
		if err := f.ReadyWithin(t.Context()); err != nil {
			t.Errorf("ReadyWithin() = %v", err)
		}
		f.Stopped()
		want("serves no more", false)
		serve()
		want("serves again", true)
		f.NoteBootstrap([]peer.AddrInfo{{ID: calltest.ID(2)}}, nil)
		want("a bootstrap peer", false)
		f.NoteBootstrap(nil, nil)
		want("none any more", true)
		f.change(func(now time.Time) bool { f.departed.Add(now, calltest.Contact(calltest.ID(3))); return false })
		want("had a contact", false)
	})
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		f.WantsAsker(calltest.ID(1))
		f.FoundNone()
		time.Sleep(singleAfter - time.Second)
		f.FoundNone()
		if f.Single() {
			t.Error("it is the only server before its time")
		}
	})
}
