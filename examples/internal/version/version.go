// Package version says which version of the module a program was built from.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// A Version is what a program was built from.
type Version struct {
	Module   string // the version of the module, such as v0.1.0; (devel) if it is not known
	Revision string // of the clone; empty if it is not known
	Go       string // the version of Go
	Platform string // the system and the processor, such as linux/amd64
}

// Read returns the version of this program.
func Read() Version {
	v := Version{Module: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Module = cmp.Or(info.Main.Version, v.Module)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

// String returns the version on one line.
func (v Version) String() string { return fmt.Sprintf("%s %s %s", v.Module, v.Go, v.Platform) }
