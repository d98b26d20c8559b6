package routing

import (
	"slices"
	"testing"
)

func TestSortByDistance(t *testing.T) {
	target := KeyOf([]byte("target"))
	contacts := []Contact{away(target, 300, "c"), away(target, 0, "a"), away(target, 2, "b")}
	SortByDistance(target, contacts)
	if want := []string{"a", "b", "c"}; !slices.Equal(ids(contacts), want) {
		t.Errorf("sorted %v, want %v", ids(contacts), want)
	}
}
