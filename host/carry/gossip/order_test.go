package gossip

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

// numbered returns messages with numbers as their text.
func numbered(numbers ...uint64) (messages []string) {
	for _, n := range numbers {
		messages = append(messages, fmt.Sprint(n))
	}
	return messages
}

func texts(messages [][]byte) (texts []string) {
	for _, m := range messages {
		texts = append(texts, string(m))
	}
	return texts
}

func TestOrder(t *testing.T) {
	tests := []struct {
		name            string
		expect          uint64
		give, delivered []uint64
		skipped         []uint64 // delivered when missing messages are given up
	}{
		{"in order", 1, []uint64{1, 2, 3}, []uint64{1, 2, 3}, nil},
		{"each twice", 1, []uint64{1, 1, 2, 1, 2}, []uint64{1, 2}, nil},
		{"turned round", 1, []uint64{2, 1, 3}, []uint64{1, 2, 3}, nil},
		{"late-comer", 7, []uint64{3, 4, 7}, []uint64{7}, nil},
		{"no hello", 0, []uint64{5, 4, 6}, []uint64{5, 6}, nil},
		{"lost", 1, []uint64{1, 3, 5, 4}, []uint64{1}, []uint64{3, 4, 5}},
	}
	for _, tt := range tests {
		o := &order{}
		o.expect(tt.expect)
		var delivered []string
		for _, n := range tt.give {
			delivered = append(delivered, texts(o.take(n, []byte(fmt.Sprint(n))))...)
		}
		if !slices.Equal(delivered, numbered(tt.delivered...)) {
			t.Errorf("%s: delivered %v, want %v", tt.name, delivered, tt.delivered)
		}
		if skipped := texts(o.skip()); !slices.Equal(skipped, numbered(tt.skipped...)) {
			t.Errorf("%s: skipped to %v, want %v", tt.name, skipped, tt.skipped)
		}
		if late := o.take(2, nil); len(tt.skipped) > 0 && len(late) > 0 {
			t.Errorf("%s: delivered %v after later messages", tt.name, late)
		}
	}
}

// Whatever comes, and how often, no message is delivered twice or before an earlier one,
// no more wait than a peer repeats, and if all come, all are delivered.
func TestOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &order{}
		o.expect(1)
		const count = 40
		all := make([]uint64, count)
		for i := range all {
			all[i] = uint64(i + 1)
		}
		given := append(rapid.Permutation(all).Draw(t, "order"), rapid.SliceOf(rapid.Uint64Range(0, 1000)).Draw(t, "more")...)
		var delivered []int
		for _, n := range given {
			for _, m := range texts(o.take(n, []byte(fmt.Sprint(n)))) {
				number, err := strconv.Atoi(m)
				if err != nil {
					t.Fatal(err)
				}
				delivered = append(delivered, number)
			}
			bytes := 0
			for _, data := range o.early {
				bytes += len(data) + overhead
			}
			if o.crowded() || o.bytes != bytes {
				t.Fatalf("%d messages of %d bytes wait, and count %d", len(o.early), bytes, o.bytes)
			}
		}
		for i, n := range delivered {
			if i > 0 && n <= delivered[i-1] {
				t.Fatalf("message %d is delivered after message %d", n, delivered[i-1])
			}
		}
		if len(delivered) < count || delivered[count-1] != count {
			t.Fatalf("delivered: %v, want the first %d", delivered, count)
		}
	})
}

// All that a peer repeats waits for the first of it, which may get lost: 160 short messages, and
// 50 of the longest. Of more, none waits.
func TestOrderOfRepeated(t *testing.T) {
	for size, most := range map[int]uint64{60: maxRecentBytes / (60 + overhead), 0: maxRecentBytes / overhead, 64 << 10: minRecent} {
		o := &order{}
		o.expect(1)
		for n := range most {
			if got := o.take(n+2, make([]byte, size)); got != nil {
				t.Fatalf("%d bytes: %d messages are delivered before the first, at message %d of %d", size, len(got), n+2, most)
			}
		}
		if got := o.take(1, nil); len(got) != int(most)+1 {
			t.Errorf("%d bytes: with the first message, %d are delivered, want %d", size, len(got), most+1)
		}
		for n := range most + 1 {
			if got := o.take(most+n+3, make([]byte, size)); (len(got) == 0) == (n == most) {
				t.Errorf("%d bytes: %d messages are delivered while %d wait", size, len(got), n+1)
			}
		}
	}
}

// A peer that joins again begins another session, and late messages of the one before
// are dropped.
func TestOrderOfSessions(t *testing.T) {
	topic := &Topic{orders: make(map[peer.ID]*order)}
	first := topic.orderOf("ann", 1)
	first.take(1, []byte("one"))
	first.take(3, []byte("three"))
	second := topic.orderOf("ann", 2)
	if len(topic.events) != 1 || string(topic.events[0].Data) != "three" {
		t.Errorf("the messages that waited: %v", topic.events)
	}
	if got := texts(second.take(1, []byte("again"))); !slices.Equal(got, []string{"again"}) {
		t.Errorf("the first message of the second session: %v", got)
	}
	if topic.orderOf("ann", 1) != nil {
		t.Error("the first session goes on")
	}
	if topic.orderOf("ann", 2) != second {
		t.Error("the second session does not go on")
	}
	for i := range 2 * maxOrders {
		topic.orderOf(peer.ID(fmt.Sprint(i)), 1)
	}
	if n := len(topic.orders); n != maxOrders {
		t.Errorf("%d peers are known, want %d", n, maxOrders)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(frame{frameMessage, 1 << 60, 3, []byte("hi")}.marshal())
	f.Add(frame{frameHello, 0, 1, nil}.marshal())
	f.Add([]byte{'m', 1, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := parseFrame(in)
		if err != nil {
			return
		}
		if again, err := parseFrame(got.marshal()); err != nil || again.number != got.number ||
			again.session != got.session || again.kind != got.kind || string(again.data) != string(got.data) {
			t.Errorf("%+v becomes %+v, %v", got, again, err)
		}
	})
}
