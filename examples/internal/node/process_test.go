package node

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen returns a listener on the loopback interface.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// launch runs the program as a process of its own, until the test is over. The
// function that it returns sends it a signal, and checks how it ends.
func launch(t *testing.T, program string, args ...string) (n *running, end func(os.Signal)) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"--network", "/test", "--open-namespace", "v"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test has failed before its end
	return greet(t, r), func(s os.Signal) {
		t.Helper()
		start := time.Now()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil && s != os.Kill {
			t.Errorf("after %v: %v; stderr %q", s, err, &stderr)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("after %v, it took %v to end", s, took)
		}
	}
}

// build returns the program.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	program := filepath.Join(t.TempDir(), "node")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/go-kad/kad/examples/node").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// A node with a directory has its identity, its records and its contacts again
// after a restart, however it ended.
func TestProcessData(t *testing.T) {
	program, dir := build(t), filepath.Join(t.TempDir(), "data")
	const loopback = "--listen=/ip4/127.0.0.1/tcp/0"
	keeper, endKeeper := launch(t, program, loopback, "--data", dir)
	other, endOther := launch(t, program, loopback, "--join", keeper.Addrs[0])
	other.get("GET /v1/ready", "")
	if got := other.get("PUT /v1/value?key=/v/greeting", "hello"); got["stored"] != 1.0 {
		t.Errorf("PUT = %v", got)
	}
	endKeeper(os.Kill)

	again, endAgain := launch(t, program, loopback, "--data", dir)
	if again.ID != keeper.ID {
		t.Errorf("it is %s now, and was %s", again.ID, keeper.ID)
	}
	if out, err := exec.Command(program, "--network", "/test", loopback, "--data", dir).CombinedOutput(); err == nil {
		t.Error("two processes have one directory")
	} else if !bytes.Contains(out, []byte("process")) || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("the second process on the directory says %q", out)
	}
	third, endThird := launch(t, program, loopback, "--join", again.Addrs[0])
	if r := third.do("GET /v1/value?key=/v/greeting", ""); r.status != 200 || string(r.body) != "hello" {
		t.Errorf("GET = %d %q", r.status, r.body)
	}
	again.get("GET /v1/ready", "") // it has admitted the third, which it has to remember
	endOther(syscall.SIGTERM)
	endAgain(syscall.SIGTERM) // which keeps its contacts

	back, endBack := launch(t, program, loopback, "--data", dir)
	back.get("GET /v1/ready", "") // through them: nobody is named
	endBack(syscall.SIGTERM)
	endThird(syscall.SIGTERM)
}

func TestProcess(t *testing.T) {
	program := build(t)
	// In this process, libp2p would leave goroutines behind.
	err := exec.Command(program, "--network", "/test", "--listen", "/ip4/203.0.113.1/tcp/0").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("with the address of another machine: %v; want exit code 1", err)
	}
	first, endFirst := launch(t, program) // on the default addresses
	taken := first.Addrs[0][:strings.Index(first.Addrs[0], "/p2p/")]
	out, err := exec.Command(program, "--network", "/test", "--listen", taken).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("another program listens on")) {
		t.Errorf("with a port that is taken: %v, %s; want exit code 1", err, out)
	}
	second, endSecond := launch(t, program, "--join", first.Addrs[0])
	for _, n := range []*running{first, second} {
		n.get("GET /v1/ready", "")
	}
	if got := first.get("PUT /v1/value?key=/v/greeting", "hello"); got["stored"] != 1.0 {
		t.Errorf("PUT = %v", got)
	}
	if r := second.do("GET /v1/value?key=/v/greeting", ""); r.status != 200 || string(r.body) != "hello" {
		t.Errorf("GET = %d %q", r.status, r.body)
	}
	endFirst(syscall.SIGTERM)
	endSecond(os.Interrupt)
}
