// Package need ends tests of the examples that lack a program on this machine. It is that of
// itest, which Go does not let the examples import.
package need

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Missing ends a test that lacks something on this machine. It skips the test, or fails it if
// KAD_ITEST_REQUIRE names the need, as in continuous integration: there, a skip would go
// unnoticed. The names are separated by commas or spaces.
func Missing(t *testing.T, name string, why any) {
	t.Helper()
	required := strings.FieldsFunc(os.Getenv("KAD_ITEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, name) {
		t.Fatalf("%s: %v (KAD_ITEST_REQUIRE demands it)", name, why)
	}
	t.Skipf("%s: %v", name, why)
}
