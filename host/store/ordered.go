package store

import (
	"cmp"
	"iter"
	"slices"
	"sort"
)

// maxBlock is how many things a block of an [ordered] has at most: few enough to be
// moved for one that comes between, and so many that there are not many blocks.
const maxBlock = 128

// An ordered keeps things by their keys, in the order of the key space. It is a
// list of sorted blocks: strangers, who can choose keys whose hashes begin
// alike, cannot make it slow.
type ordered[T any] struct {
	key    func(T) string
	blocks [][]slot[T] // none is empty
}

// A slot is one thing and the hash of its key.
type slot[T any] struct {
	hash  uint64
	thing T
}

func newOrdered[T any](key func(T) string) *ordered[T] { return &ordered[T]{key: key} }

// compare says whether the place of what is in s is before that of a key, there, or
// after it. It is generic because a conversion of the key would copy it.
func compare[T any, K string | []byte](o *ordered[T], s *slot[T], hash uint64, key K) int {
	switch k := o.key(s.thing); {
	case s.hash != hash:
		return cmp.Compare(s.hash, hash)
	case k < string(key):
		return -1
	case k > string(key):
		return +1
	}
	return 0
}

// find returns where the place of a key is, or would be: the block and the
// slot, which may be the end of the block, and whether there is something.
func find[T any, K string | []byte](o *ordered[T], hash uint64, key K) (block, i int, ok bool) {
	if len(o.blocks) == 0 {
		return 0, 0, false
	}
	block = max(0, sort.Search(len(o.blocks), func(j int) bool { return compare(o, &o.blocks[j][0], hash, key) > 0 })-1)
	list := o.blocks[block]
	i = sort.Search(len(list), func(j int) bool { return compare(o, &list[j], hash, key) >= 0 })
	return block, i, i < len(list) && compare(o, &list[i], hash, key) == 0
}

// get returns what is under key, or the zero T.
func get[T any, K string | []byte](o *ordered[T], hash uint64, key K) (thing T) {
	if block, i, ok := find(o, hash, key); ok {
		return o.blocks[block][i].thing
	}
	return thing
}

// set puts thing under its key, which has a hash.
func (o *ordered[T]) set(hash uint64, thing T) {
	block, i, ok := find(o, hash, o.key(thing))
	if ok {
		o.blocks[block][i].thing = thing
		return
	}
	if len(o.blocks) == 0 {
		o.blocks = append(o.blocks, nil)
	}
	list := slices.Insert(o.blocks[block], i, slot[T]{hash: hash, thing: thing})
	o.blocks[block] = list
	if len(list) >= maxBlock {
		half := len(list) / 2
		o.blocks = slices.Insert(o.blocks, block+1, slices.Clone(list[half:]))
		clear(list[half:]) // do not keep them alive
		o.blocks[block] = list[:half]
	}
}

// delete removes what is under key. Blocks that have become small are joined.
func (o *ordered[T]) delete(hash uint64, key string) {
	block, i, ok := find(o, hash, key)
	if !ok {
		return
	}
	if o.blocks[block] = slices.Delete(o.blocks[block], i, i+1); len(o.blocks[block]) == 0 {
		o.blocks = slices.Delete(o.blocks, block, block+1)
	} else {
		o.join(block)
	}
	o.join(block - 1)
}

// join makes a block and the next one one, if both are small.
func (o *ordered[T]) join(block int) {
	next := block + 1
	if block < 0 || next >= len(o.blocks) || len(o.blocks[block])+len(o.blocks[next]) > maxBlock/2 {
		return
	}
	o.blocks[block] = append(o.blocks[block], o.blocks[next]...)
	o.blocks = slices.Delete(o.blocks, next, next+1)
}

// from yields what is not before a place, in order.
func (o *ordered[T]) from(place []byte) iter.Seq[T] {
	return func(yield func(T) bool) {
		hash, key := splitPlace(place)
		for block, i, _ := find(o, hash, key); block < len(o.blocks); block, i = block+1, 0 {
			for _, s := range o.blocks[block][i:] {
				if !yield(s.thing) {
					return
				}
			}
		}
	}
}

// next returns the least hash that is not below x, if there is one.
func (o *ordered[T]) next(x uint64) (least uint64, ok bool) {
	block, i, _ := find(o, x, "")
	if block < len(o.blocks) && i == len(o.blocks[block]) {
		block, i = block+1, 0
	}
	if block == len(o.blocks) {
		return 0, false
	}
	return o.blocks[block][i].hash, true
}
