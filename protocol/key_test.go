package protocol

import "testing"

func TestSplitKey(t *testing.T) {
	tests := []struct {
		give, ns, rest string
		ok             bool
	}{
		{"/pk/id", "pk", "id", true},
		{"/v/a/b", "v", "a/b", true},
		{"/v/\xff\xfe\x80", "v", "\xff\xfe\x80", true},
		{"/v/", "v", "", true},
		{"/v", "", "", false},
		{"//x", "", "", false},
		{"/", "", "", false},
		{"", "", "", false},
		{"plainkey", "", "", false},
		{"x/v/k", "", "", false},
	}
	for _, tt := range tests {
		ns, rest, ok := SplitKey([]byte(tt.give))
		if ns != tt.ns || string(rest) != tt.rest || ok != tt.ok {
			t.Errorf("SplitKey(%q) = %q, %q, %v; want %q, %q, %v", tt.give, ns, rest, ok, tt.ns, tt.rest, tt.ok)
		}
		if ns, ok := Namespace([]byte(tt.give)); ns != tt.ns || ok != tt.ok {
			t.Errorf("Namespace(%q) = %q, %v; want %q, %v", tt.give, ns, ok, tt.ns, tt.ok)
		}
	}
}

func TestRecordKeys(t *testing.T) {
	id := testID(1)
	if got, want := string(PublicKeyKey(id)), "/pk/"+string(id); got != want {
		t.Errorf("PublicKeyKey() = %q, want %q", got, want)
	}
	if got, want := string(IPNSKey(id)), "/ipns/"+string(id); got != want {
		t.Errorf("IPNSKey() = %q, want %q", got, want)
	}
}
