package validate

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// Rules are the validators of a node, by namespace. They do not change.
type Rules map[string]record.Validator

// Check returns why a value may not stand under a key, as [kaderr.ErrInvalidRecord].
func (v Rules) Check(key, value []byte) error {
	if len(key) > protocol.MaxKey {
		return fmt.Errorf("%w: the key has %d bytes, the limit is %d", kaderr.ErrInvalidRecord, len(key), protocol.MaxKey)
	}
	if len(value) > protocol.MaxValue {
		return fmt.Errorf("%w: the value has %d bytes, the limit is %d", kaderr.ErrInvalidRecord, len(value), protocol.MaxValue)
	}
	validator, err := v.Of(key)
	if err != nil {
		return err
	}
	if err := validator.Validate(string(key), value); err != nil {
		return fmt.Errorf("%w: %w", kaderr.ErrInvalidRecord, err)
	}
	return nil
}

// Of returns the validator of a key.
func (v Rules) Of(key []byte) (record.Validator, error) {
	ns, ok := protocol.Namespace(key)
	if !ok {
		return nil, fmt.Errorf(`%w: key %q has no namespace: use "/namespace/rest"`, kaderr.ErrInvalidRecord, key)
	}
	validator, ok := v[ns]
	if !ok {
		known := "none are configured"
		if len(v) > 0 {
			known = "there is " + strings.Join(slices.Sorted(maps.Keys(v)), ", ")
		}
		return nil, fmt.Errorf("%w: no validator for namespace %q in Config.Validators (%s)", kaderr.ErrInvalidRecord, ns, known)
	}
	return validator, nil
}

// better reports whether value is better than other, by the order of the
// validator. Both are valid. Where the validator sees no difference between
// two different values, the greater bytes win, so that all holders of a key
// agree whatever arrived first.
func (v Rules) better(key, value, other []byte) bool {
	if bytes.Equal(value, other) {
		return false
	}
	validator, err := v.Of(key)
	if err != nil {
		return false
	}
	// Most Rules return the first of equals: ask in both orders.
	if best, err := validator.Select(string(key), [][]byte{other, value}); err != nil || best == 1 {
		return err == nil
	}
	best, err := validator.Select(string(key), [][]byte{value, other})
	return err == nil && best == 0 && bytes.Compare(value, other) > 0
}
