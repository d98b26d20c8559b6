package tasks

import (
	"hash/crc32"
	"sync"
)

// Stripes are locks by key: each key has one of them, which it shares with others.
type Stripes [64]sync.Mutex

// Lock locks the stripe of a key, and returns it.
func (s *Stripes) Lock(key []byte) *sync.Mutex {
	m := &s[crc32.ChecksumIEEE(key)%uint32(len(s))]
	m.Lock()
	return m
}
