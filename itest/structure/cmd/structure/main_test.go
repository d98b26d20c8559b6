package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The command prints each figure, what was counted, and the rooms, and writes the
// picture. A figure that cannot be measured is no reason to print no others.
func TestRun(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "picture.svg")
	t.Chdir("../../testdata/small")
	var out strings.Builder
	if err := run([]string{"-places", "-picture", picture}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"methods of DHT 3\ncircle\nrun\nwait\n",
		"files on the way of one FIND_NODE structure: there is no function host.DHT.ClosestPeers\n",
		"pronouns per 1000 words, routing 263.2\n5 of 19 words\n",
		"\n\ntable\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if svg, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
		t.Errorf("the picture begins with %.20q, %v", svg, err)
	}
	if err := run([]string{"-unknown"}, io.Discard, io.Discard); err == nil {
		t.Error("an unknown flag is no error")
	}
}
