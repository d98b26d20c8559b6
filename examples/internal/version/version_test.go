package version

import (
	"regexp"
	"runtime"
	"testing"
)

func TestRead(t *testing.T) {
	v := Read()
	if v.Go != runtime.Version() || v.Module == "" {
		t.Errorf("Read() = %+v", v)
	}
	if got := v.String(); !regexp.MustCompile(`^\S+ go1\.\S+ \w+/\w+$`).MatchString(got) {
		t.Errorf("String() = %q", got)
	}
}
