package node

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	golog "github.com/ipfs/go-log/v2"
)

// A writerFunc is a function as a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A node says at its start that its API is open to others. The libraries log errors alone,
// unless all is asked for.
func TestLogging(t *testing.T) {
	t.Cleanup(func() { setLogging(golog.LevelError) })
	for level, want := range map[string][3]string{
		"warn": {"warn", "error", "fatal"}, "info": {"info", "error", "fatal"}, "debug": {"debug", "debug", "debug"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		logs := golog.NewPipeReader()
		logged := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(logs)
			logged <- string(text)
		}()
		var stderr bytes.Buffer
		up := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		code := Run(ctx, []string{"--network", "/test", "--listen", "/ip4/127.0.0.1/tcp/0", "--api", "0.0.0.0:0", "--api-any", "--log", level}, up, &stderr)
		_ = logs.Close()
		if text := <-logged; code != 0 || !strings.Contains(text, "give it --api-token FILE") {
			t.Errorf("--log %s: code %d, %s, logs %s; want a warning", level, code, &stderr, text)
		}
		for i, name := range []string{"kad", "net/identify", "p2p-config"} {
			golog.Logger(name) // its level is known once there is a logger, and a library may not have logged yet
			if got, err := golog.SubsystemLevelName(name); err != nil || got != want[i] {
				t.Errorf("--log %s: that of %s is %s, %v; want %s", level, name, got, err, want[i])
			}
		}
	}
}
