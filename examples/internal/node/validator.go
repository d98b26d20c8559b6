package node

import (
	"bytes"
	"errors"
)

// openValidator accepts every value, and prefers the greatest bytes. It is for
// experiments: anybody can replace anybody's record.
type openValidator struct{}

// Validate accepts everything.
func (openValidator) Validate(string, []byte) error { return nil }

// Select returns the index of the greatest value; the first of equals.
func (openValidator) Select(_ string, values [][]byte) (int, error) {
	if len(values) == 0 {
		return 0, errors.New("no values to select from")
	}
	best := 0
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// openSet is openValidator for keys that hold all values that are put under them.
type openSet struct{ openValidator }

// Reduce keeps everything.
func (openSet) Reduce(_ string, values [][]byte) ([][]byte, error) { return values, nil }
