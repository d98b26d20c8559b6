//go:build unix

package stress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clockVariable is the environment variable with the offset of the clock of a process: a
// duration, and, after a slash, how long until it changes its sign, again and again; for
// example "50m" or "-50m/20s".
const clockVariable = "KAD_STRESS_CLOCK"

// now is the beginning of time.Now, and shifted is what the program has in place of it: the
// monotonic clock stays as it is, and so do timers.
const (
	now     = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	shifted = now + "\tsec += stressOffset(mono)\n"
)

// offset is a file of package time with what shifted calls.
const offset = `package time

import "syscall"

var stressAhead, stressPeriod = stressClock()

func stressClock() (ahead, period int64) {
	text, _ := syscall.Getenv("` + clockVariable + `")
	for i := range len(text) {
		if text[i] == '/' {
			if d, err := ParseDuration(text[i+1:]); err == nil {
				period = int64(d)
			}
			text = text[:i]
			break
		}
	}
	if d, err := ParseDuration(text); err == nil {
		ahead = int64(d / Second)
	}
	return ahead, period
}

func stressOffset(mono int64) int64 {
	if stressPeriod > 0 && mono/stressPeriod%2 == 1 {
		return -stressAhead
	}
	return stressAhead
}
`

// build builds a program, given by its import path, with a clock that can be off, and returns
// its path. Other files go to the same directory.
func build(ctx context.Context, dir, source string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original, err := os.ReadFile(filepath.Join(std, "time.go")) //nolint:gosec // of the Go distribution
	if err != nil {
		return "", err
	}
	if strings.Count(string(original), now) != 1 {
		return "", errors.New("time.Now does not begin as it did: correct clock.go for this version of Go")
	}
	replaced := make(map[string]string)
	for name, content := range map[string]string{
		"time.go":   strings.Replace(string(original), now, shifted, 1),
		"stress.go": offset,
	} {
		file := filepath.Join(dir, name)
		replaced[filepath.Join(std, name)] = file
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	file, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "node")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-o", program, source) //nolint:gosec // a program of the module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}
