package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

const (
	// recordsDir and contactsFile are what is in Config.Dir.
	recordsDir   = "records"
	contactsFile = "contacts.json"

	// maxContactsFile bounds what is read back: some 4 000 contacts.
	maxContactsFile = 1 << 20
)

// A keptContact is a contact as it is in Config.Dir.
type keptContact struct {
	Peer      peer.AddrInfo
	RoundTrip time.Duration `json:",omitempty"`
	Proof     time.Time     // its last answer
}

// openStore opens the store that cfg asks for: its own, one in Dir, or one in
// memory.
func openStore(cfg Config) (store.Store, error) {
	switch {
	case cfg.Store != nil:
		return cfg.Store, nil
	case cfg.Dir != "":
		s, err := store.Open(filepath.Join(cfg.Dir, recordsDir), store.Limits{})
		if err != nil {
			return nil, fmt.Errorf("kad: Config.Dir: %w", err)
		}
		return s, nil
	default:
		return store.NewMemory(store.Limits{}), nil
	}
}

// restoreContacts returns contacts that the node had when it was closed, the
// most recently seen first. They have to prove themselves again: that they were
// good proves nothing. A file that cannot be read is as good as none.
func restoreContacts(dir string) (contacts []routing.Contact) {
	if dir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, contactsFile)) //nolint:gosec // the user's own directory
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Debugw("contacts of the last time", "error", err)
		}
		return nil
	}
	defer func() { _ = f.Close() }()
	var kept []keptContact
	if err := json.NewDecoder(io.LimitReader(f, maxContactsFile)).Decode(&kept); err != nil {
		log.Debugw("contacts of the last time", "error", err)
		return nil
	}
	for _, k := range kept[:min(len(kept), routing.MaxDeparted)] {
		c := routing.ContactOf(k.Peer.ID)
		c.Wire, c.RoundTrip = announce(c.ID, k.Peer.Addrs), k.RoundTrip
		contacts = append(contacts, c)
	}
	return contacts
}

// keepContacts writes the contacts of the table for the next time, unless there
// are none: then those of the last time are better. The file is replaced as a
// whole, so that it is never half written.
func (d *DHT) keepContacts() error {
	if d.cfg.Dir == "" || d.peers.stats().Contacts == 0 {
		return nil
	}
	kept := d.recent()
	data, err := json.Marshal(kept[:min(len(kept), routing.MaxDeparted)])
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(d.cfg.Dir, contactsFile+".new*")
	if err != nil {
		return fmt.Errorf("kad: keeping the contacts: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // if it is still there
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(d.cfg.Dir, contactsFile))
	}
	if err != nil {
		return fmt.Errorf("kad: keeping the contacts: %w", err)
	}
	return nil
}
