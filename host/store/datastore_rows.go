package store

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// The names in a datastore. Keys and IDs are in base32, because a datastore may
// fold case or have a meaning for a slash; the K keeps an empty one from vanishing.
//
//	/kad/format                    the version of this layout: 1
//	/kad/value/K<key>              row of a value
//	/kad/provider/K<key>/K<id>     row of an announcement
//	/kad/publication/<kind>/K<key> row of a publication
const (
	nameRoot        = "/kad"
	nameFormat      = nameRoot + "/format"
	nameValue       = nameRoot + "/value"
	nameProvider    = nameRoot + "/provider"
	namePublication = nameRoot + "/publication"

	nameVersion = "1"
)

func encodeName(b string) string {
	return "K" + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(b))
}

func decodeName(s string) ([]byte, error) {
	s, ok := strings.CutPrefix(s, "K")
	if !ok {
		return nil, errors.New("not a name of ours")
	}
	return base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(s)
}

func valueName(key []byte) datastore.Key {
	return datastore.RawKey(nameValue + "/" + encodeName(string(key)))
}

func publicationName(kind Kind, key []byte) datastore.Key {
	return datastore.RawKey(namePublication + "/" + strconv.Itoa(int(kind)) + "/" + encodeName(string(key)))
}

// name returns the name of e in a datastore.
func (e *entry) name(isValue bool) datastore.Key {
	if isValue {
		return valueName([]byte(e.key))
	}
	return datastore.RawKey(nameProvider + "/" + encodeName(e.key) + "/" + encodeName(e.id))
}

// withoutData returns e for an index that has no data.
func (e *entry) withoutData() *entry {
	c := *e
	c.data = nil
	return &c
}

// Wrap opens a store in a go-datastore. It keeps everything under /kad, and
// leaves alone what else is there; a datastore serves one store at a time. Zero
// [Limits] are right for a node of a public network.
//
// Wrap reads all entries. It passes over those that are damaged; they are
// replaced when their key is written next. The error is [ErrForeign] if the
// format is one that this version does not know.
func Wrap(ctx context.Context, ds datastore.Batching, l Limits) (*Datastore, error) {
	d := &Datastore{ds: ds, seed: maphash.MakeSeed(), index: newIndex(l.inMemory())}
	name := datastore.RawKey(nameFormat)
	switch found, err := ds.Get(ctx, name); {
	case errors.Is(err, datastore.ErrNotFound):
		if err := errors.Join(ds.Put(ctx, name, []byte(nameVersion)), ds.Sync(ctx, name)); err != nil {
			return nil, fmt.Errorf("kad: store: datastore: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("kad: store: datastore: %w", err)
	case string(found) != nameVersion:
		return nil, fmt.Errorf("%w: the datastore has format %q, this version knows %s; use the version that wrote it, or another namespace",
			ErrForeign, found, nameVersion)
	}
	for prefix, load := range map[string]func(parts []string, raw []byte){
		nameValue: d.loadValue, nameProvider: d.loadProvider, namePublication: d.loadPublication,
	} {
		if err := d.load(ctx, prefix, load); err != nil {
			return nil, fmt.Errorf("kad: store: datastore: %w", err)
		}
	}
	return d, nil
}

// load calls f with all that is under a prefix, and the parts of the name after that.
func (d *Datastore) load(ctx context.Context, prefix string, f func(parts []string, raw []byte)) error {
	found, err := d.ds.Query(ctx, query.Query{Prefix: prefix})
	if err != nil {
		return err
	}
	for {
		r, ok := found.NextSync()
		if !ok {
			return found.Close()
		}
		if r.Error != nil {
			return errors.Join(r.Error, found.Close())
		}
		f(strings.Split(strings.TrimPrefix(r.Key, prefix+"/"), "/"), r.Value)
	}
}

func (d *Datastore) loadValue(parts []string, raw []byte) {
	key, err := decodeName(parts[0])
	if err != nil || len(parts) != 1 {
		return
	}
	if e, err := parseRow(valueName(key).Bytes(), raw); err == nil {
		e.key, e.hash = string(key), hashOf(key)
		d.index.setValue(get(d.index.values, e.hash, e.key), e.withoutData())
	}
}

func (d *Datastore) loadProvider(parts []string, raw []byte) {
	if len(parts) != 2 {
		return
	}
	key, err := decodeName(parts[0])
	id, err2 := decodeName(parts[1])
	if err != nil || err2 != nil {
		return
	}
	named := &entry{key: string(key), id: string(id)}
	if e, err := parseRow(named.name(false).Bytes(), raw); err == nil {
		e.key, e.hash, e.id = named.key, hashOf(key), named.id
		d.index.addProvider(e.withoutData())
	}
}

func (d *Datastore) loadPublication(parts []string, raw []byte) {
	if len(parts) != 2 {
		return
	}
	kind, err := strconv.ParseUint(parts[0], 10, 8)
	key, err2 := decodeName(parts[1])
	if err != nil || err2 != nil {
		return
	}
	if e, err := parseRow(publicationName(Kind(kind), key).Bytes(), raw); err == nil {
		d.index.publish(Publication{Kind: Kind(kind), Key: key, Data: append([]byte(nil), e.data...), Next: e.expires})
	}
}

// read returns the entry of a row with data of its own, or [ErrNotFound].
func (d *Datastore) read(ctx context.Context, name datastore.Key) (*entry, error) {
	raw, err := d.ds.Get(ctx, name)
	if errors.Is(err, datastore.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("kad: store: datastore: %w", err)
	}
	return parseRow(name.Bytes(), append([]byte(nil), raw...))
}

// put writes the row of e, and removes what is gone for it.
func (d *Datastore) put(ctx context.Context, name datastore.Key, e *entry, gone []datastore.Key) error {
	publisher := e.id
	if strings.HasPrefix(name.String(), nameProvider) {
		publisher = rowOrigin(e.origin)
	}
	b, err := d.ds.Batch(ctx)
	if err == nil {
		err = b.Put(ctx, name, marshalRow(name.Bytes(), e.expires, e.received, publisher, e.data))
	}
	for _, g := range gone {
		if err == nil {
			err = b.Delete(ctx, g)
		}
	}
	if err == nil {
		err = b.Commit(ctx)
	}
	if err == nil {
		err = d.ds.Sync(ctx, datastore.RawKey(nameRoot))
	}
	if err != nil {
		return explain("datastore", err)
	}
	return nil
}

// remove removes a row.
func (d *Datastore) remove(ctx context.Context, name datastore.Key) error {
	err := d.ds.Delete(ctx, name)
	if err == nil {
		err = d.ds.Sync(ctx, name)
	}
	if err != nil {
		return explain("datastore", err)
	}
	return nil
}
