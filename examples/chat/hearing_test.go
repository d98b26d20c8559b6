package main

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// said returns lines with numbers as their text.
func said(numbers ...uint64) (lines []event) {
	for _, no := range numbers {
		lines = append(lines, event{kind: eventLine, n: int(no)})
	}
	return lines
}

func TestHearing(t *testing.T) {
	tests := []struct {
		name        string
		expect      uint64
		give, shown []uint64
		skipped     []uint64 // shown when what is missing is given up
	}{
		{"in order", 1, []uint64{1, 2, 3}, []uint64{1, 2, 3}, nil},
		{"each twice", 1, []uint64{1, 1, 2, 1, 2}, []uint64{1, 2}, nil},
		{"turned round", 1, []uint64{2, 1, 3}, []uint64{1, 2, 3}, nil},
		{"late-comer", 7, []uint64{3, 4, 7}, []uint64{7}, nil},
		{"not greeted", 0, []uint64{5, 4, 6}, []uint64{5, 6}, nil},
		{"lost", 1, []uint64{1, 3, 5, 4}, []uint64{1}, []uint64{3, 4, 5}},
	}
	for _, tt := range tests {
		h := &hearing{}
		h.expect(tt.expect)
		var shown []event
		for _, no := range tt.give {
			shown = append(shown, h.take(no, said(no)[0])...)
		}
		if !slices.Equal(shown, said(tt.shown...)) {
			t.Errorf("%s: shown %v, want %v", tt.name, shown, said(tt.shown...))
		}
		if skipped := h.skip(); !slices.Equal(skipped, said(tt.skipped...)) {
			t.Errorf("%s: skipped to %v, want %v", tt.name, skipped, said(tt.skipped...))
		}
		if late := h.take(2, event{}); len(tt.skipped) > 0 && len(late) > 0 {
			t.Errorf("%s: shown %v after what came later", tt.name, late)
		}
	}
}

// Whatever comes, and how often, no line is shown twice or before an earlier one, no
// more than maxEarly wait, and if all come, all are shown.
func TestHearingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hearing{}
		h.expect(1)
		const lines = 40
		all := make([]uint64, lines)
		for i := range all {
			all[i] = uint64(i + 1)
		}
		given := append(rapid.Permutation(all).Draw(t, "order"), rapid.SliceOf(rapid.Uint64Range(0, 1000)).Draw(t, "more")...)
		var shown []int
		for _, no := range given {
			for _, e := range h.take(no, event{n: int(no)}) {
				shown = append(shown, e.n)
			}
			if len(h.early) > maxEarly {
				t.Fatalf("%d lines wait", len(h.early))
			}
		}
		for i, no := range shown {
			if i > 0 && no <= shown[i-1] {
				t.Fatalf("line %d is shown after line %d", no, shown[i-1])
			}
		}
		if len(shown) < lines || shown[lines-1] != lines {
			t.Fatalf("shown: %v, want the first %d", shown, lines)
		}
	})
}
