// Command vet does what go vet does, from the source of all packages: it compiles none.
// So it checks the module for another system in 50 s of processor time, in place of five
// minutes and more, and takes 2.7 GB of memory. The system is that of GOOS and GOARCH.
//
//	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go run ./itest/vet ./...
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"
	"golang.org/x/tools/go/analysis/suite/vet"
)

func main() { multichecker.Main(vet.Suite...) }
