package kadtest_test

import (
	"testing"
	"testing/synctest"
)

// The application of the Example works.
func TestLibraries(t *testing.T) { synctest.Test(t, libraries) }
