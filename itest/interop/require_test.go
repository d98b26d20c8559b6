package interop_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// needJS skips the test because something is missing on this machine that js-libp2p takes, or
// fails it if KAD_ITEST_REQUIRE names js: there, a skip would go unnoticed.
func needJS(t *testing.T, missing string) {
	t.Helper()
	const name = "js"
	required := strings.FieldsFunc(os.Getenv("KAD_ITEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, name) {
		t.Fatalf("%s: %s (KAD_ITEST_REQUIRE demands it)", name, missing)
	}
	t.Skipf("%s: %s", name, missing)
}
