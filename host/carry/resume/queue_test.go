package resume

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A queue keeps the bytes between its offsets, whatever is put in and taken out.
func TestQueue(t *testing.T) {
	random, bytesOf := rand.New(rand.NewPCG(1, 2)), rand.NewChaCha8([32]byte{1})
	var q queue
	var want []byte // from q.start on
	for range 2000 {
		if random.IntN(2) == 0 {
			p := make([]byte, random.IntN([]int{10, smallBlock, 3 * blockSize}[random.IntN(3)]))
			_, _ = bytesOf.Read(p)
			if random.IntN(2) == 0 && len(p) <= blockSize {
				b := newBlock(len(p))
				b.data = append(b.data, p...)
				q.push(b)
			} else {
				q.append(p)
			}
			want = append(want, p...)
		} else {
			n := random.IntN(len(want) + 1)
			q.drop(q.start + int64(n))
			want = want[n:]
		}
		if q.size() != len(want) {
			t.Fatalf("%d bytes, want %d", q.size(), len(want))
		}
		from := random.IntN(len(want) + 1)
		got, _ := q.from(q.start + int64(from))
		if !bytes.HasPrefix(want[from:], got) || len(got) == 0 && from < len(want) {
			t.Fatalf("%d bytes from %d on are not those that were put in", len(got), from)
		}
		held := 0
		for _, block := range q.blocks {
			held += cap(block.data)
			if len(block.data) == 0 {
				t.Fatal("a block is empty")
			}
		}
		if held > 2*q.size()+blockSize {
			t.Fatalf("%d bytes of memory for %d", held, q.size())
		}
	}
}

// The memory of a block that is in use is not used again.
func TestLentBlock(t *testing.T) {
	var q queue
	q.append(bytes.Repeat([]byte{1}, 3*blockSize))
	data, lent := q.from(0)
	lent.lent++
	before, _ := q.from(blockSize)
	q.drop(q.end)
	for range 10 {
		q.append(bytes.Repeat([]byte{2}, blockSize))
	}
	if data[0] != 1 || data[len(data)-1] != 1 {
		t.Error("bytes in use have changed")
	}
	if before[0] == 1 {
		t.Log("the pool gave no memory back") // it may, at any time
	}
}
