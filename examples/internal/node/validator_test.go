package node

import "testing"

func TestOpenValidator(t *testing.T) {
	tests := []struct {
		name string
		give []string
		want int
	}{
		{"one", []string{"a"}, 0},
		{"greatest last", []string{"a", "b"}, 1},
		{"greatest first", []string{"b", "a"}, 0},
		{"longer is greater", []string{"a", "aa", ""}, 1},
		{"unsigned", []string{"\x7f", "\x80"}, 1},
		{"first of equals", []string{"a", "b", "b"}, 1},
		{"empty", []string{""}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var values [][]byte
			for _, v := range tt.give {
				values = append(values, []byte(v))
			}
			got, err := openValidator{}.Select("/v/k", values)
			if err != nil || got != tt.want {
				t.Errorf("Select() = %d, %v; want %d", got, err, tt.want)
			}
		})
	}
	if _, err := (openValidator{}).Select("/v/k", nil); err == nil {
		t.Error("Select() of nothing succeeded")
	}
	if err := (openValidator{}).Validate("/v/k", nil); err != nil {
		t.Errorf("Validate() = %v", err)
	}
}
