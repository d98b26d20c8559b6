//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package store

import "os"

// abandon closes a file that the engine has locked and mapped, and cannot close
// itself any more. The lock may stay until the process ends.
func abandon(f *os.File) error { return f.Close() }
