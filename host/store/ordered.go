package store

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"sort"
)

// maxBlock is how many things a block of an [ordered] has at most: few enough to be
// moved for one that comes between, and so many that there are not many blocks.
const maxBlock = 128

// An ordered keeps things by their keys, in the order of the key space. It is a list of
// sorted blocks: strangers, who can choose keys whose hashes begin alike,
// cannot make it slow.
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
// after it.
func (o *ordered[T]) compare(s *slot[T], hash uint64, key []byte) int {
	if s.hash != hash {
		return cmp.Compare(s.hash, hash)
	}
	return bytes.Compare([]byte(o.key(s.thing)), key)
}

// find returns where the place of a key is, or would be: the block and the slot, which may be
// the end of the block.
func (o *ordered[T]) find(hash uint64, key []byte) (block, i int) {
	if len(o.blocks) == 0 {
		return 0, 0
	}
	block = max(0, sort.Search(len(o.blocks), func(j int) bool { return o.compare(&o.blocks[j][0], hash, key) > 0 })-1)
	list := o.blocks[block]
	return block, sort.Search(len(list), func(j int) bool { return o.compare(&list[j], hash, key) >= 0 })
}

// at returns the slot that find has found, nil unless it is that of the key.
func (o *ordered[T]) at(block, i int, hash uint64, key []byte) *slot[T] {
	if block == len(o.blocks) || i == len(o.blocks[block]) {
		return nil
	}
	if s := &o.blocks[block][i]; o.compare(s, hash, key) == 0 {
		return s
	}
	return nil
}

// get returns what is under key, or the zero T.
func (o *ordered[T]) get(key []byte) (thing T) {
	hash := hashOf(key)
	block, i := o.find(hash, key)
	if s := o.at(block, i, hash, key); s != nil {
		return s.thing
	}
	return thing
}

// set puts thing under its key.
func (o *ordered[T]) set(thing T) {
	key := []byte(o.key(thing))
	hash := hashOf(key)
	block, i := o.find(hash, key)
	if s := o.at(block, i, hash, key); s != nil {
		s.thing = thing
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
func (o *ordered[T]) delete(key []byte) {
	hash := hashOf(key)
	block, i := o.find(hash, key)
	if o.at(block, i, hash, key) == nil {
		return
	}
	list := slices.Delete(o.blocks[block], i, i+1)
	if o.blocks[block] = list; len(list) == 0 {
		o.blocks = slices.Delete(o.blocks, block, block+1)
		return
	}
	if block+1 < len(o.blocks) && len(list)+len(o.blocks[block+1]) <= maxBlock/2 {
		o.blocks[block] = append(list, o.blocks[block+1]...)
		o.blocks = slices.Delete(o.blocks, block+1, block+2)
	}
}

// from yields what is not before a place, in order.
func (o *ordered[T]) from(place []byte) iter.Seq[T] {
	return func(yield func(T) bool) {
		for block, i := o.find(splitPlace(place)); block < len(o.blocks); block, i = block+1, 0 {
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
	block, i := o.find(x, nil)
	if block < len(o.blocks) && i == len(o.blocks[block]) {
		block, i = block+1, 0
	}
	if block == len(o.blocks) {
		return 0, false
	}
	return o.blocks[block][i].hash, true
}
