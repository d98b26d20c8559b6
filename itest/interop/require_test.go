package interop_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// need skips the test because something is missing on this machine, or fails
// it if KAD_ITEST_REQUIRE names that need: there, a skip would go unnoticed.
func need(t *testing.T, name, missing string) {
	t.Helper()
	required := strings.FieldsFunc(os.Getenv("KAD_ITEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, name) {
		t.Fatalf("%s: %s (KAD_ITEST_REQUIRE demands it)", name, missing)
	}
	t.Skipf("%s: %s", name, missing)
}
