package readme_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/program"

	"github.com/go-kad/kad/itest/internal/need"
)

// shipped returns a file of examples/node.
func shipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", "node", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// elsewhere puts free ports, and a folder of the test, in place of what a server has.
func elsewhere(t *testing.T, text, folder, ours string) string {
	t.Helper()
	for _, port := range []string{"4001", "5001"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, free, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		text = strings.ReplaceAll(text, port, free)
	}
	return strings.ReplaceAll(text, folder, ours)
}

// up starts a program as a server does, and returns its first line, and what stops it: that
// returns its exit code, and how long it took.
func up(t *testing.T, path string, args ...string) (id string, stop func() (int, time.Duration)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"} // a server has no HOME
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop = func() (int, time.Duration) {
		start := time.Now()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode(), time.Since(start)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			stop()
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var hello struct{ ID string }
	if err := errors.Join(err, json.Unmarshal(line, &hello)); err != nil || hello.ID == "" {
		t.Fatalf("%v prints %q: %v\n%s", args, line, err, &stderr)
	}
	return hello.ID, stop
}

// The unit for systemd is one, and has no wish that systemd does not know.
func TestUnit(t *testing.T) {
	checker, err := exec.LookPath("systemd-analyze")
	if err != nil {
		need.Missing(t, "systemd", err)
	}
	// It looks whether the program is there: another one will do.
	unit := strings.ReplaceAll(shipped(t, "kad.service"), "/usr/local/bin/kad-node", "/bin/true")
	path := filepath.Join(t.TempDir(), "kad.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), checker, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), path) {
		t.Errorf("%v: %s", err, out)
	}
}

// What the unit for systemd starts is a node that comes back as the same peer, and ends in time;
// flags that make no sense have the exit code after which systemd does not start it again.
func TestUnitRuns(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("builds a program, and needs SIGTERM")
	}
	unit := shipped(t, "kad.service")
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/kad-node (.*)$`).FindStringSubmatch(unit)
	if command == nil {
		t.Fatal("the unit starts nothing")
	}
	state := filepath.Join(t.TempDir(), "kad")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	line := elsewhere(t, command[1], "${STATE_DIRECTORY}", state)
	line = strings.NewReplacer("${KAD_NETWORK}", "/my-app", "$KAD_FLAGS", "--offer-relay --open-namespace v", "0.0.0.0", "127.0.0.1", "/ip6/::/", "/ip4/127.0.0.2/").Replace(line)
	path := program.Build(t, "./examples/node")

	id, stop := up(t, path, strings.Fields(line)...)
	if code, took := stop(); code != 0 || took > 5*time.Second {
		t.Errorf("it ends with %d after %v", code, took)
	}
	again, stop := up(t, path, strings.Fields(line)...)
	if stop(); again != id {
		t.Errorf("it comes back as %s, and was %s", again, id)
	}
	if info, err := os.Stat(filepath.Join(state, "identity.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}

	prevents := regexp.MustCompile(`(?m)^RestartPreventExitStatus=(\d+)$`).FindStringSubmatch(unit)
	wrong := exec.CommandContext(t.Context(), path, append(strings.Fields(line), "--no-such-flag")...)
	_ = wrong.Run()
	if prevents == nil || fmt.Sprint(wrong.ProcessState.ExitCode()) != prevents[1] {
		t.Errorf("a wrong flag has exit code %d, the unit has %v", wrong.ProcessState.ExitCode(), prevents)
	}
}

// A step is an instruction of the Dockerfile.
type step struct{ verb, rest string }

// stages returns the stages of the Dockerfile: what each begins from, and its steps.
func stages(t *testing.T) [][]step {
	t.Helper()
	var list [][]step
	for line := range strings.Lines(shipped(t, "Dockerfile")) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case verb == "" || verb == "#" || strings.HasPrefix(verb, "#"):
			continue
		case verb == "FROM":
			list = append(list, nil)
		case len(list) == 0:
			t.Fatalf("%s comes before FROM", verb)
		}
		list[len(list)-1] = append(list[len(list)-1], step{verb, rest})
	}
	if len(list) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want 2", len(list))
	}
	return list
}

// The commands of the Dockerfile, run here in place of a container, make a program that needs
// no other file, and runs as the image runs it.
func TestDockerfile(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds a program for Linux, and runs it")
	}
	out := t.TempDir() // the folder /out of the image
	list := stages(t)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if want := fmt.Sprintf("golang:%s AS build", language[1]); list[0][0].rest != want {
		t.Errorf("it builds with %q, go.mod has %q", list[0][0].rest, want)
	}
	for _, s := range list[0][1:] {
		if s.verb != "RUN" {
			continue
		}
		run := exec.CommandContext(t.Context(), "sh", "-euc", strings.ReplaceAll(s.rest, "/out/", out+"/"))
		run.Dir = root
		if text, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", s.rest, err, text)
		}
	}

	var entry []string
	for _, s := range list[1] {
		from, ok := strings.CutPrefix(s.rest, "--from=build ")
		if ok && strings.HasPrefix(from, "/out/") {
			if _, err := os.Stat(filepath.Join(out, strings.TrimPrefix(strings.Fields(from)[0], "/out/"))); err != nil {
				t.Error(err)
			}
		}
		if s.verb == "ENTRYPOINT" {
			if err := json.Unmarshal([]byte(s.rest), &entry); err != nil || len(entry) < 2 || entry[0] != "/kad" {
				t.Fatalf("ENTRYPOINT %s: %v", s.rest, err)
			}
		}
	}
	binary, err := elf.Open(filepath.Join(out, "kad"))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %v: %v", libraries, err)
	}
	line := elsewhere(t, strings.Join(entry[1:], " "), "/data", filepath.Join(out, "data"))
	id, stop := up(t, filepath.Join(out, "kad"), append(strings.Fields(strings.ReplaceAll(line, "0.0.0.0", "127.0.0.1")), "--network", "/my-app")...)
	if code, took := stop(); code != 0 || took > 5*time.Second || id == "" {
		t.Errorf("it ends with %d after %v", code, took)
	}
}
