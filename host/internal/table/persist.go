package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// contactsFile is what a Table keeps in Config.Dir.
	contactsFile = "contacts.json"

	// maxContactsFile bounds what is read back: it is room for routing.MaxDeparted
	// contacts with as many addresses as a message has. A longer file counts as none.
	maxContactsFile = 4 << 20
)

// A savedContact is a contact as it is in the file.
type savedContact struct {
	Peer      peer.AddrInfo
	RoundTrip time.Duration `json:",omitempty"`
	Proof     time.Time     // its last answer
}

// restore takes in the contacts that an earlier run saved, as departed ones: they have to
// answer before they enter the table. A file that cannot be read counts as none.
func (t *Table) restore(now time.Time, saved []savedContact) {
	for _, k := range slices.Backward(saved[:min(len(saved), routing.MaxDeparted)]) {
		c := routing.ContactOf(k.Peer.ID)
		c.Wire, c.RoundTrip = announce.Encode(protocol.Peer{ID: c.ID, Addrs: k.Peer.Addrs}), k.RoundTrip
		if c.Key != t.self {
			t.departed.Add(now, c)
		}
	}
}

// readContacts returns what Save wrote, the most recently seen contact first.
func readContacts(dir string) (saved []savedContact) {
	if dir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, contactsFile)) //nolint:gosec // the user's own directory
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Debugw("contacts of an earlier run", "error", err)
		}
		return nil
	}
	defer func() { _ = f.Close() }()
	if err := json.NewDecoder(io.LimitReader(f, maxContactsFile)).Decode(&saved); err != nil {
		log.Debugw("contacts of an earlier run", "error", err)
		return nil
	}
	return saved
}

// Saves reports whether contacts are saved: Config.Dir is set.
func (t *Table) Saves() bool { return t.cfg.Dir != "" }

// Save writes the contacts to Config.Dir for the next run, unless there are none: then
// the file of the earlier run is better. The file is replaced as a whole, so that it is
// never half written.
func (t *Table) Save() error {
	if t.cfg.Dir == "" || t.Stats().Contacts == 0 {
		return nil
	}
	saved := t.recent()
	data, err := json.Marshal(saved[:min(len(saved), routing.MaxDeparted)])
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(t.cfg.Dir, contactsFile+".new*")
	if err != nil {
		return fmt.Errorf("kad: saving the contacts: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // if it is still there
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(t.cfg.Dir, contactsFile))
	}
	if err != nil {
		return fmt.Errorf("kad: saving the contacts: %w", err)
	}
	return nil
}

// recent returns the contacts that have addresses, the most recently seen first.
func (t *Table) recent() (saved []savedContact) {
	for _, b := range t.Buckets() {
		for _, c := range b.Contacts {
			if p, err := announce.Wire(c.Wire).Peer(); err == nil && len(p.Addrs) > 0 {
				rtt := t.cfg.Host.Peerstore().LatencyEWMA(c.ID)
				saved = append(saved, savedContact{peer.AddrInfo{ID: c.ID, Addrs: p.Addrs}, rtt, c.Seen})
			}
		}
	}
	slices.SortFunc(saved, func(a, b savedContact) int { return b.Proof.Compare(a.Proof) })
	return saved
}
