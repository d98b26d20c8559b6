package structure_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A workaround names the version of the library in which it is needed. When go.mod has
// another one, each workaround is due for a look: is it needed still? If it is, its file
// names the new version.
func TestWorkaroundsNameTheVersion(t *testing.T) {
	const root = "../.."
	versions := make(map[string]string) // of modules, by the last part of their path
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*github\.com/libp2p/(\S+) (v\S+)`).FindAllStringSubmatch(string(mod), -1) {
		versions[m[1]] = m[2]
	}
	named := regexp.MustCompile(`\b(go-libp2p[a-z-]*|pubsub) \(?(v\d+\.\d+\.\d+)`)
	found := 0
	err = filepath.WalkDir(filepath.Join(root, "host"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			m := named.FindStringSubmatch(lines.Text())
			if m == nil || !strings.HasPrefix(strings.TrimSpace(lines.Text()), "//") {
				continue
			}
			module := m[1]
			if module == "pubsub" {
				module = "go-libp2p-pubsub"
			}
			found++
			if got := versions[module]; got != m[2] {
				t.Errorf("%s:%d is about %s %s, and go.mod has %s: is it needed still?", path, n, module, m[2], got)
			}
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 9 {
		t.Errorf("%d workarounds were found, want 9 at least: the pattern does not fit any more", found)
	}
}
