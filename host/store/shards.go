package store

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
)

// shardCount is how many maps a [shards] has. A batch of an iteration sorts the
// keys of one of them.
const shardCount = 256

// shards is a map that can be iterated in batches, from any key on: by the number
// of the shard, which is a hash of the key, and then by the key.
type shards[T any] struct {
	seed maphash.Seed
	maps [shardCount]map[string]T
}

func newShards[T any]() *shards[T] { return &shards[T]{seed: maphash.MakeSeed()} }

func (s *shards[T]) of(key string) int { return int(maphash.String(s.seed, key) % shardCount) }

// get returns what is under key, or the zero T.
func (s *shards[T]) get(key []byte) T {
	return s.maps[maphash.Bytes(s.seed, key)%shardCount][string(key)]
}

func (s *shards[T]) set(key string, v T) {
	i := s.of(key)
	if s.maps[i] == nil {
		s.maps[i] = make(map[string]T)
	}
	s.maps[i][key] = v
}

func (s *shards[T]) delete(key string) { delete(s.maps[s.of(key)], key) }

// from yields what is under the keys that come after a key, or all if that is
// nil. Only the rest of the current shard is sorted.
func (s *shards[T]) from(after []byte) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		first := 0
		if after != nil {
			first = s.of(string(after))
		}
		for i := first; i < shardCount; i++ {
			keys := slices.Collect(maps.Keys(s.maps[i]))
			if after != nil && i == first {
				keys = slices.DeleteFunc(keys, func(key string) bool { return key <= string(after) })
			}
			slices.Sort(keys)
			for _, key := range keys {
				if !yield(key, s.maps[i][key]) {
					return
				}
			}
		}
	}
}
