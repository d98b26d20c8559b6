package host

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/go-kad/kad/protocol"
)

// validators are the validators of a node, by namespace.
type validators map[string]record.Validator

// check returns why a value may not stand under a key, as [ErrInvalidRecord].
func (v validators) check(key, value []byte) error {
	if len(key) > protocol.MaxKey {
		return fmt.Errorf("%w: the key has %d bytes, the limit is %d", ErrInvalidRecord, len(key), protocol.MaxKey)
	}
	if len(value) > protocol.MaxValue {
		return fmt.Errorf("%w: the value has %d bytes, the limit is %d", ErrInvalidRecord, len(value), protocol.MaxValue)
	}
	validator, err := v.of(key)
	if err != nil {
		return err
	}
	if err := validator.Validate(string(key), value); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	return nil
}

// of returns the validator of a key.
func (v validators) of(key []byte) (record.Validator, error) {
	ns, ok := protocol.Namespace(key)
	if !ok {
		return nil, fmt.Errorf(`%w: key %q has no namespace: use "/namespace/rest"`, ErrInvalidRecord, key)
	}
	validator, ok := v[ns]
	if !ok {
		known := "none are configured"
		if len(v) > 0 {
			known = "there is " + strings.Join(slices.Sorted(maps.Keys(v)), ", ")
		}
		return nil, fmt.Errorf("%w: no validator for namespace %q in Config.Validators (%s)", ErrInvalidRecord, ns, known)
	}
	return validator, nil
}

// better reports whether value is better than other, by the order of the
// validator. Both are valid. Where the validator sees no difference between
// two different values, the greater bytes win, so that all holders of a key
// agree whatever arrived first.
func (v validators) better(key, value, other []byte) bool {
	if bytes.Equal(value, other) {
		return false
	}
	validator, err := v.of(key)
	if err != nil {
		return false
	}
	// Most validators return the first of equals: ask in both orders.
	if best, err := validator.Select(string(key), [][]byte{other, value}); err != nil || best == 1 {
		return err == nil
	}
	best, err := validator.Select(string(key), [][]byte{value, other})
	return err == nil && best == 0 && bytes.Compare(value, other) > 0
}
