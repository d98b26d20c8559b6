package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound reports that nothing is held under a key, or only what has
	// expired.
	ErrNotFound = errors.New("kad: store: not found")

	// ErrFull reports that an entry was refused because a limit of the store is
	// reached. It may fit later, when others have expired.
	ErrFull = errors.New("kad: store: full")

	// ErrKeyFull reports that an announcement was refused because its key has as many
	// providers as it may have, and none of them makes room. It is an [ErrFull] for which
	// it does not help to remove entries of other keys.
	ErrKeyFull = fmt.Errorf("%w: too many providers of one key", ErrFull)

	// ErrTooLarge reports that an entry was refused because of its own size. It
	// will never fit.
	ErrTooLarge = errors.New("kad: store: entry too large")

	// ErrClosed reports that the store was closed.
	ErrClosed = errors.New("kad: store: closed")

	// ErrNoSpace reports that an entry was refused because the disk is full, or
	// its quota, or the largest size of a file. It is no [ErrFull]: to shed entries
	// makes a file no smaller.
	ErrNoSpace = errors.New("kad: store: no space left on the disk")

	// ErrLocked reports that a directory is in use by another store, as a rule of
	// another process.
	ErrLocked = errors.New("kad: store: in use by another process")

	// ErrForeign reports that a directory holds something that is not a store, or
	// a store in a format that this version does not know. It was left as it is.
	ErrForeign = errors.New("kad: store: not a store of this version")

	// ErrCorrupt reports that what is on the disk is not what was written.
	ErrCorrupt = errors.New("kad: store: corrupt")
)

// A Value is what is held under a key.
type Value struct {
	// Data is opaque to the store. No data and nil are the same.
	Data []byte

	// Publisher is the binary ID of the peer that published the value first, as
	// far as it is known. It is opaque to the store, and counts like Data.
	Publisher []byte

	// Received is when this node received the value, by its own clock. The store
	// keeps it as it is given.
	Received time.Time

	// Expires is from when on the value is not served: at that very instant it
	// has expired. If zero, never.
	Expires time.Time
}

// A KeyedValue is a value with its key.
type KeyedValue struct {
	Key []byte
	Value
}

// A Provider is one announcement for a key: a peer that says it has the content.
type Provider struct {
	// ID is the binary peer ID. A key has at most one announcement of an ID.
	ID string

	// Addrs is how the peer announced itself. It is opaque to the store. In a list of
	// providers, it is only to be read.
	Addrs []byte

	// Received is when this node received the announcement, by its own clock.
	// Announcements are served in its order.
	Received time.Time

	// Expires is from when on the announcement is not served. If zero, never.
	Expires time.Time

	// Origin is a number of where the announcement came from, for instance of a network of
	// addresses: of a full key, the origin with the most announcements loses one first. If
	// zero, the announcement has an origin of its own. It counts for no bytes.
	Origin uint64
}

// A Kind says what was published.
type Kind uint8

const (
	// KindValue is a value.
	KindValue Kind = iota + 1

	// KindProvider is an announcement that this node provides something.
	KindProvider
)

// String returns value or announcement.
func (k Kind) String() string {
	if k == KindProvider {
		return "announcement"
	}
	return "value"
}

// A Publication is something that this node published itself, and publishes
// again from time to time until [Store.Unpublish].
type Publication struct {
	Kind Kind
	Key  []byte

	// Data is what is published, for instance the record. It is opaque to the store.
	Data []byte

	// Next is when it is to be published again.
	Next time.Time
}

// A Store keeps values and provider announcements, and what this node published
// itself. Each of the three has its own keys: a value and a provider under the
// same key have nothing to do with each other.
//
// Keys are any bytes, and an empty one is a key too. Data is copied in and out, but the
// Addrs of a list of providers are only to be read: the store may hold the same bytes.
// Times are kept to the nanosecond, without their monotonic reading and
// possibly without their location: compare them with [time.Time.Equal].
//
// The argument now is the current time. If it is zero, nothing counts as expired,
// and entries which have expired but were not swept are served too.
//
// A Store may be used by several goroutines at once. A method returns the cause
// of its context if that has ended, [ErrClosed] after Close, and other errors of
// the medium as they are. A method may take as long as its medium, also past the end of
// its context: operations of the node that need the entry wait for it. After an error of a
// writing method, the store is as it was, except that what has expired may be gone.
type Store interface {
	// Value returns the value under key, or [ErrNotFound] if there is none or it
	// has expired at now.
	Value(ctx context.Context, key []byte, now time.Time) (Value, error)

	// UpdateValue replaces the value under key by what f returns. It gives f the
	// current value; ok is false if there is none or it has expired at now. An
	// error of f is returned as it is.
	//
	// Updates of one key are serialised: what f returns is stored only if the
	// value it was given is still the current one. If it is not, f may be called
	// again with the one that is; so f should depend on nothing but its
	// arguments. It must not call the Store.
	//
	// The error is [ErrTooLarge] or [ErrFull] if a limit does not allow the new
	// value; what has expired at now is not in its way.
	UpdateValue(ctx context.Context, key []byte, now time.Time, f func(current Value, ok bool) (Value, error)) error

	// DeleteValue removes the value under key, expired or not. It is no error if
	// there is none.
	DeleteValue(ctx context.Context, key []byte) error

	// Values returns values that have not expired at now, in the order of [Place],
	// which is that of the key space: from the first one whose place is at or after
	// from. That is any bytes, for instance the beginning of a hash, or nil for the
	// very first value. It returns at most limit values, and no more once they take
	// 1 MiB together; if limit is 0 or negative, only their size limits them. To go
	// on, call it with [After] of the last key, even if that is not held any more. No
	// values and no error is the end.
	//
	// A value that is held from the first call to the last is returned once, in its
	// old form or in its new one if it was replaced meanwhile. No writer waits for
	// Values for longer than for a sweep.
	Values(ctx context.Context, now time.Time, from []byte, limit int) ([]KeyedValue, error)

	// AddProvider adds p to the providers of key. An announcement of the same ID
	// is replaced, whichever of the two was received first.
	//
	// If the key has as many providers as it may have, an announcement makes room. It is of
	// the [Provider.Origin] with the most of them, p included: the one that expires first;
	// among equals, the one received first. One that never expires does not make room. Nor
	// does one that expires later than p, unless the origin of p has fewer announcements:
	// AddProvider then returns [ErrKeyFull]. It returns [ErrFull] when another limit is
	// reached. Entries that have expired at p.Received do not count. The error is
	// [ErrTooLarge] if p itself is over a limit.
	AddProvider(ctx context.Context, key []byte, p Provider) error

	// Providers returns the providers of key that have not expired at now, the
	// one received last first, and at most limit of them. If limit is 0 or
	// negative, it returns all. It is no error if there are none.
	Providers(ctx context.Context, key []byte, now time.Time, limit int) ([]Provider, error)

	// Provider returns the announcement of id for key, or [ErrNotFound].
	Provider(ctx context.Context, key []byte, id string, now time.Time) (Provider, error)

	// RemoveProvider removes the announcement of id for key. It is no error if
	// there is none.
	RemoveProvider(ctx context.Context, key []byte, id string) error

	// ProviderKeys returns keys with providers that have not expired at now, each
	// once, in the manner of Values: at most limit keys, or at most 1024 if it is 0
	// or negative, from a place on.
	ProviderKeys(ctx context.Context, now time.Time, from []byte, limit int) ([][]byte, error)

	// Shed makes room for an entry under key that was refused with [ErrFull]: it
	// removes the entry of that kind, one value or one announcement, whose key is
	// farthest from self, if it is farther than key. It reports whether it did so;
	// if not, the store is as it was. As one entry may not be enough, the caller
	// sheds until the write succeeds, or Shed reports false. It is of no use after
	// [ErrKeyFull].
	//
	// The distance is that of the DHT, the XOR of the SHA-256 of the keys with
	// self, which is the SHA-256 of a peer ID. Only 8 bytes of it are compared:
	// keys that are as far in these are equally far. Of several announcements for a
	// key, it removes the one that expires first, and of those the one received
	// first. An entry that never expires is not removed; Shed looks at 256 keys at
	// most for one that may be.
	Shed(ctx context.Context, kind Kind, self [32]byte, key []byte) (shed bool, err error)

	// Publish keeps p until [Store.Unpublish], in the place of the one of the same
	// kind and key. A publication is kept besides the values and announcements: it
	// does not expire, is not served, and counts towards no limit. The error
	// is [ErrTooLarge] if the medium cannot hold it.
	Publish(ctx context.Context, p Publication) error

	// Unpublish forgets the publication of a kind and key. It is no error if there
	// is none.
	Unpublish(ctx context.Context, kind Kind, key []byte) error

	// Publication returns the publication of a kind and key, or [ErrNotFound].
	Publication(ctx context.Context, kind Kind, key []byte) (Publication, error)

	// Publications returns the publications of a kind, at most limit of them and no
	// more once they take 1 MiB together, in an order of the store's own: after nil
	// come the first ones, and after a key those that follow it, whether or not it is
	// published any more. None is the end. If limit is 0 or negative, only their size
	// limits them. If some of them are damaged, the error is [ErrCorrupt], and the others
	// come with it.
	Publications(ctx context.Context, kind Kind, after []byte, limit int) ([]Publication, error)

	// Expire removes entries that have expired at now: at most limit of them, or all if
	// limit is 0 or negative. Its cost grows with the entries that it removes, and not with
	// those that the store holds. Writers may wait for it.
	//
	// It returns how many entries it removed, and when the next one expires: at or before
	// now if the limit left some, zero if no entry will ever expire.
	Expire(ctx context.Context, now time.Time, limit int) (removed int, next time.Time, err error)

	// Len returns how many values and provider announcements are held, including the
	// ones that have expired and were not swept yet. Both are zero after Close.
	Len() (values, providers int)

	// Close releases what the store holds. What was accepted by then is kept, if
	// the store is one that outlives the process. It is no error to close twice.
	Close() error
}

// A Gauge is a [Store] that says how full it is. [Memory], [Datastore] and [Disk] are. In a
// store that is none, one peer gets no more than its share, however empty the store is.
type Gauge interface {
	// Filled returns which part of the limits of a kind is taken, of entries or of bytes,
	// whichever is more: 0 to 1. Without limits it is 0.
	Filled(kind Kind) float64
}
