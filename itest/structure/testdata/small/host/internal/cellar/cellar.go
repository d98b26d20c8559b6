// Package cellar is in no table.
package cellar

import _ "example.com/small/host"
