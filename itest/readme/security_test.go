package readme_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each test that SECURITY.md names as the measure of an attack is there, and `make hostile` runs
// it; fuzz targets have `make fuzz`.
func TestSecurity(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	dirs := make(map[string][]string) // of the tests
	for _, name := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(read("SECURITY.md"), -1) {
		dirs[name[1]] = nil
	}
	if len(dirs) < 20 {
		t.Fatalf("SECURITY.md names %d tests", len(dirs))
	}
	err := filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		for name := range dirs {
			if strings.Contains(string(source), "\nfunc "+name+"(") {
				dir, _ := filepath.Rel(root, filepath.Dir(file))
				dirs[name] = append(dirs[name], "./"+filepath.ToSlash(dir))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	hostile := regexp.MustCompile(`(?s)\nHOSTILE := (\S+).*?\nhostile:.*?for dir in ([^;]+);`).FindStringSubmatch(read("Makefile"))
	if hostile == nil {
		t.Fatal("the Makefile has no target hostile")
	}
	runs, in := regexp.MustCompile("^Test("+strings.ReplaceAll(hostile[1], "$$", "$")+")"), strings.Fields(hostile[2])
	for name, at := range dirs {
		switch {
		case len(at) == 0:
			t.Errorf("SECURITY.md names a test that is not there: %s", name)
		case strings.HasPrefix(name, "Fuzz"):
		case !runs.MatchString(name) || !slices.ContainsFunc(at, func(dir string) bool { return slices.Contains(in, dir) }):
			t.Errorf("SECURITY.md names a test that make hostile does not run: %s in %v", name, at)
		}
	}
}
