package store

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// batchBytes ends a batch of values or publications, because those who iterate
// hold a batch in memory, and values have up to a megabyte each.
const batchBytes = 1 << 20

// batchKeys is how many keys are in a batch if the caller does not say.
const batchKeys = 1024

// Limits bounds a store. If a field is zero, it has its default; if it is
// negative, there is no limit. Publications do not count.
//
// Besides the bytes it counts, a [Memory] takes about 200 bytes for each entry,
// and so does a [Datastore]; a [Disk] takes no memory, but about 400 bytes of
// the disk.
type Limits struct {
	// Values is how many values are held, because each costs something besides
	// its bytes. If zero, 100 000 in memory, and 1 000 000 on a disk.
	Values int

	// ValueBytes is how many bytes the values take together, each with its key
	// and publisher, because strangers decide how large they are. If zero,
	// 128 MiB in memory, and 1 GiB on a disk.
	ValueBytes int

	// Providers is how many provider announcements are held, for all keys
	// together, because each costs something besides its bytes. If zero,
	// 1 000 000 in memory, and 4 000 000 on a disk.
	Providers int

	// ProviderBytes is how many bytes the announcements take together, each with
	// its key and its peer ID. It is not part of ValueBytes: announcements are much
	// more frequent, and a flood of them must not keep values out. If zero, 256 MiB
	// in memory, and 1 GiB on a disk.
	ProviderBytes int

	// ProvidersPerKey is how many providers one key has. An answer names as many as fit
	// a message, and each further one makes an announcement for the key slower. If
	// zero, 1000.
	ProvidersPerKey int

	// EntryBytes is how many bytes one value takes with its key and publisher, or
	// one announcement with its key and its peer ID, so that a few entries cannot
	// use up the limits above. If zero, 1 MiB + 1 KiB + 64: the largest record that
	// the protocol lets through, with its key and a peer ID.
	EntryBytes int
}

// inMemory returns l with every zero field set to its default for a store whose
// entries are in memory, at least in part.
func (l Limits) inMemory() Limits {
	return l.or(Limits{Values: 100_000, ValueBytes: 128 << 20, Providers: 1_000_000, ProviderBytes: 256 << 20})
}

// onDisk returns l with every zero field set to its default for a store on a disk.
func (l Limits) onDisk() Limits {
	return l.or(Limits{Values: 1_000_000, ValueBytes: 1 << 30, Providers: 4_000_000, ProviderBytes: 1 << 30})
}

// or returns l with every zero field set to that of totals, or to its default.
func (l Limits) or(totals Limits) Limits {
	l.Values = cmp.Or(l.Values, totals.Values)
	l.ValueBytes = cmp.Or(l.ValueBytes, totals.ValueBytes)
	l.Providers = cmp.Or(l.Providers, totals.Providers)
	l.ProviderBytes = cmp.Or(l.ProviderBytes, totals.ProviderBytes)
	l.ProvidersPerKey = cmp.Or(l.ProvidersPerKey, 1000)
	l.EntryBytes = cmp.Or(l.EntryBytes, 1<<20+1<<10+64)
	return l
}

// entry returns e, or [ErrTooLarge].
func (l Limits) entry(e *entry) (*entry, error) {
	if size := e.size(); l.EntryBytes >= 0 && size > l.EntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit is %d", ErrTooLarge, size, l.EntryBytes)
	}
	return e, nil
}

// tallies returns what counts the values and the providers.
func (l Limits) tallies() (values, providers tally) {
	return tally{name: "values", maxEntries: l.Values, maxBytes: l.ValueBytes},
		tally{name: "providers", maxEntries: l.Providers, maxBytes: l.ProviderBytes}
}

// yields returns which of the entries of a key gives its place to next: the one
// of the same ID, else, if the key is full, the one that goes first, else nil. It
// returns [ErrKeyFull] if none may.
func (l Limits) yields(list []*entry, next *entry) (*entry, error) {
	if i := slices.IndexFunc(list, func(e *entry) bool { return e.id == next.id }); i >= 0 {
		return list[i], nil
	}
	if !l.keyFull(len(list)) {
		return nil, nil
	}
	i, err := goesFor(slices.All(list), next)
	if err != nil {
		return nil, err
	}
	return list[i], nil
}

// goesFor returns which of the entries of a full key gives its place to next, by what names
// it: of the origin with the most entries, next counted too, the one that goes first. It
// returns [ErrKeyFull] if none may. An entry need not be valid when the next one comes.
func goesFor[T any](entries iter.Seq2[T, *entry], next *entry) (goes T, err error) {
	of := map[uint64]int{next.origin: 1}
	for _, e := range entries {
		of[e.origin]++
	}
	of[0] = 1 // each of these is alone
	var first entry
	most := 0
	for name, e := range entries {
		if n := of[e.origin]; n > most || n == most && compareYield(e, &first) < 0 {
			goes, first, most = name, *e, n
		}
	}
	if first.expires.IsZero() || most <= of[next.origin] && compareExpiry(next, &first) < 0 {
		return goes, ErrKeyFull
	}
	return goes, nil
}

// keyFull reports whether a key with n providers has no place for another one.
func (l Limits) keyFull(n int) bool { return l.ProvidersPerKey >= 0 && n >= l.ProvidersPerKey }

// A tally counts the entries of one kind.
type tally struct {
	name                string
	entries, maxEntries int // a negative maximum is none
	bytes, maxBytes     int
}

// fits returns [ErrFull] unless next can be added once old, if not nil, is removed.
func (t *tally) fits(old, next *entry) error {
	entries, bytes := t.entries+1, t.bytes+next.size()
	if old != nil {
		entries, bytes = entries-1, bytes-old.size()
	}
	if t.maxEntries >= 0 && entries > t.maxEntries {
		return fmt.Errorf("%w: limit is %d %s", ErrFull, t.maxEntries, t.name)
	}
	if t.maxBytes >= 0 && bytes > t.maxBytes {
		return fmt.Errorf("%w: limit is %d bytes of %s", ErrFull, t.maxBytes, t.name)
	}
	return nil
}

// filled returns which part of its limits is taken, of entries or of bytes.
func (t *tally) filled() (part float64) {
	for _, of := range [][2]int{{t.entries, t.maxEntries}, {t.bytes, t.maxBytes}} {
		if of[1] >= 0 {
			part = max(part, float64(of[0])/float64(max(of[1], 1)))
		}
	}
	return part
}

// filled returns how full the one of two tallies is that counts a kind.
func filled(kind Kind, values, providers *tally) float64 {
	if kind == KindValue {
		return values.filled()
	}
	return providers.filled()
}

// add counts e in.
func (t *tally) add(e *entry) {
	t.entries++
	t.bytes += e.size()
}

// remove counts e out.
func (t *tally) remove(e *entry) {
	t.entries--
	t.bytes -= e.size()
}
