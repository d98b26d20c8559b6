package readme_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// The headings of the changelog follow the rules of CONTRIBUTING.md.
func TestChangelog(t *testing.T) {
	sections := strings.Split(documents(t)["CHANGELOG.md"], "\n## ")
	if len(sections) < 2 || !strings.HasPrefix(sections[1], "[Unreleased]\n") {
		t.Fatalf("the first heading is not ## [Unreleased]: %.40q", sections[min(1, len(sections)-1)])
	}
	kinds := []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
	before := "v999999.0.0"
	for i, section := range sections[1:] {
		title, body, _ := strings.Cut(section, "\n")
		if i > 0 {
			m := regexp.MustCompile(`^\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$`).FindStringSubmatch(title)
			if m == nil {
				t.Errorf("%q is no heading of a release, such as [0.1.0] - 2026-12-31", title)
				continue
			}
			if semver.Compare("v"+m[1], before) >= 0 {
				t.Errorf("%s comes after %s", m[1], before)
			}
			before = "v" + m[1]
		}
		var seen []string
		for _, part := range strings.Split("\n"+body, "\n### ")[1:] {
			kind, lines, _ := strings.Cut(part, "\n")
			if !slices.Contains(kinds, kind) || slices.Contains(seen, kind) || !strings.Contains(lines, "\n- ") {
				t.Errorf("%s: ### %s is unknown, empty, or there twice", title, kind)
			}
			seen = append(seen, kind)
		}
	}
}

// The table of versions has those of go.mod and of the peer in JavaScript.
func TestVersions(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "itest", "interop", "js", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var peer struct{ Dependencies map[string]string }
	if err := json.Unmarshal(text, &peer); err != nil {
		t.Fatal(err)
	}
	minor := regexp.MustCompile(`^v?(\d+\.\d+)`)
	of := func(module string) string {
		m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` v?(\d+\.\d+)`).FindSubmatch(mod)
		if m == nil {
			t.Fatalf("go.mod has no %s", module)
		}
		return string(m[1])
	}
	cells := strings.Split(regexp.MustCompile(`(?m)^\| \d.*$`).FindString(documents(t)["SUPPORT.md"]), "|")
	if len(cells) != 6 {
		t.Fatalf("SUPPORT.md has no table: %q", cells)
	}
	for i, want := range []string{
		2: of("go"),
		3: of("github.com/libp2p/go-libp2p"),
		4: "go-libp2p-kad-dht " + of("github.com/libp2p/go-libp2p-kad-dht") +
			", kad-dht of js-libp2p " + minor.FindStringSubmatch(peer.Dependencies["@libp2p/kad-dht"])[1] +
			", boxo " + of("github.com/ipfs/boxo"),
	} {
		if got := strings.TrimSpace(cells[i]); want != "" && got != want {
			t.Errorf("SUPPORT.md has %q, the module has %q", got, want)
		}
	}
}

// The platforms of SUPPORT.md are those that make platforms checks.
func TestPlatforms(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	checked := strings.Fields(string(regexp.MustCompile(`(?m)^PLATFORMS \?= (.*)$`).FindSubmatch(makefile)[1]))
	var named []string
	text := strings.ReplaceAll(documents(t)["SUPPORT.md"], "\n", " ")
	for _, m := range regexp.MustCompile(`(linux|darwin|windows) \(([\w, ]+)\)`).FindAllStringSubmatch(text, -1) {
		for processor := range strings.SplitSeq(m[2], ", ") {
			named = append(named, m[1]+"/"+processor)
		}
	}
	if !slices.Equal(checked, named) {
		t.Errorf("SUPPORT.md has %v, the Makefile %v", named, checked)
	}
}
