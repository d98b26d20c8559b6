package table

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/routing"
)

// What Save wrote is departed in the next run: the contacts with addresses, which have to
// answer before they are contacts again. An empty table leaves the file as it is.
func TestSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newTable(t, Config{Dir: dir})
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("an empty table wrote %v", files)
		}
		ids := peers(3)
		for _, id := range ids {
			f.at(id)
			f.host.Peerstore().RecordLatency(id, time.Second)
			f.answer(id)
			time.Sleep(time.Second)
		}
		f.answer(calltest.ID(9)) // has no address
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
		again := newTable(t, Config{Dir: dir})
		if err := again.Save(); err != nil {
			t.Fatal(err)
		}
		var saved []peer.ID
		for _, s := range readContacts(dir) {
			saved = append(saved, s.Peer.ID)
		}
		if want := []peer.ID{ids[2], ids[1], ids[0]}; !slices.Equal(saved, want) {
			t.Errorf("saved %v, want %v: the last one to answer first", saved, want)
		}
		departed := again.Departed(10)
		if again.Live() || !again.HasDeparted() || len(departed) != len(ids) {
			t.Errorf("live: %v, departed: %v", again.Live(), idsOf(departed))
		}
		for _, c := range departed {
			if p, err := announce.Wire(c.Wire).Peer(); err != nil || len(p.Addrs) != 1 || c.RoundTrip != time.Second {
				t.Errorf("restored %v, %v, with a round trip of %v", p, err, c.RoundTrip)
			}
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%d files are left, want the contacts", len(files))
		}
	})
}

// At most 256 contacts are saved, the last ones to answer; this node itself is not
// restored.
func TestSaveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newTable(t, Config{Dir: dir, K: 400})
		ids := peers(routing.MaxDeparted + 44)
		for _, id := range ids {
			f.at(id)
			f.answer(id)
			time.Sleep(time.Second)
		}
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
		saved := readContacts(dir)
		if len(saved) != routing.MaxDeparted || saved[len(saved)-1].Peer.ID != ids[44] {
			t.Errorf("%d contacts are saved", len(saved))
		}
		saved = []savedContact{{Peer: peer.AddrInfo{ID: f.host.ID(), Addrs: f.host.Addrs()}}}
		again := newTable(t, Config{})
		if again.restore(time.Now(), saved); again.HasDeparted() {
			t.Error("this node is one of its own contacts")
		}
	})
}

// As many contacts as are saved can be read, with as many addresses as they may have.
func TestSaveMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := newTable(t, Config{Dir: dir, K: 400})
		for _, id := range peers(routing.MaxDeparted) {
			for i := range 20 {
				f.host.Peerstore().AddAddr(id, multiaddr.StringCast(fmt.Sprintf("/dns4/%s.example.com/tcp/%d", strings.Repeat("a.", 120), i+1)), peerstore.PermanentAddrTTL)
			}
			f.answer(id)
		}
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
		if got := len(readContacts(dir)); got != routing.MaxDeparted {
			t.Errorf("%d contacts are read of %d", got, routing.MaxDeparted)
		}
	})
}

// A file that cannot be read counts as none, and a directory that cannot be written is an
// error.
func TestSaveDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, contactsFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := newTable(t, Config{Dir: dir}); f.HasDeparted() {
			t.Error("there are contacts in a damaged file")
		}
		f := newTable(t, Config{Dir: filepath.Join(dir, "gone")})
		f.at(calltest.ID(1))
		f.answer(calltest.ID(1))
		if err := f.Save(); err == nil {
			t.Error("saved in a directory that is not there")
		}
	})
}

// The times of saved contacts are not believed: contacts of a run whose clock was ahead, or
// behind, are tried as others are.
func TestSavedWithAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const year = 365 * 24 * time.Hour
		f := newTable(t, Config{})
		var saved []savedContact
		for i, ahead := range []time.Duration{0, 10 * year, -10 * year} {
			id := calltest.ID(i + 1)
			info := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{calltest.Addr(id)}}
			saved = append(saved, savedContact{Peer: info, Proof: time.Now().Add(ahead)})
		}
		f.restore(time.Now(), saved)
		time.Sleep(time.Hour)
		if got := f.Departed(10); len(got) != len(saved) {
			t.Errorf("%d contacts of %d are tried", len(got), len(saved))
		}
	})
}
