//go:build unix

package stress

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// operationTimeout is what each operation is given.
	operationTimeout = 20 * time.Second

	// startTimeout bounds the start of a process, also on a loaded machine.
	startTimeout = time.Minute

	// endTimeout is how long a process has to end by itself, twice what it promises.
	endTimeout = 10 * time.Second
)

// A process is a node that runs examples/node.
type process struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	API   string   `json:"api"`

	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	client http.Client
}

// A start is how a process is started.
type start struct {
	program     string
	args        []string
	clock       string // offset of its clock; see clock.go
	descriptors int    // how many files it may have open; 0: as many as this process
	log         string // file for what it says on stderr
}

// run starts a process, and returns when it says that it is up.
func (s start) run(ctx context.Context) (*process, error) {
	name, args := s.program, s.args
	if s.descriptors > 0 { // the hard limit too: a Go program raises the soft one to it
		name, args = "/bin/sh", append([]string{"-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(s.descriptors), s.program}, s.args...)
	}
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.Command(name, args...) //nolint:gosec // a program of the module, which is ended by end
	p.cmd.Env = append(os.Environ(), clockVariable+"="+s.clock, "GOMAXPROCS=2")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for this process alone
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.client.Transport = &http.Transport{MaxConnsPerHost: connsOf(s), MaxIdleConnsPerHost: connsOf(s)}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	first, err := p.firstLine(ctx, out)
	if err == nil {
		err = json.Unmarshal(first, p)
	}
	if err == nil && (p.ID == "" || len(p.Addrs) == 0 || p.API == "") {
		err = errors.New("something is missing")
	}
	if err != nil {
		p.end(syscall.SIGKILL)
		return nil, fmt.Errorf("the first line of a node is %q: %w; the last one of its log: %s", first, err, lastLine(s.log))
	}
	return p, nil
}

// lastLine returns the last line of a file, or why it has none.
func lastLine(path string) string {
	text, err := os.ReadFile(path) //nolint:gosec // the log of a process of ours
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// connsOf returns how many connections to its API a process is to have.
func connsOf(s start) int {
	if s.descriptors > 0 {
		return 2
	}
	return 16
}

// firstLine reads the first line, and waits for the end of the process from then on.
func (p *process) firstLine(ctx context.Context, out io.Reader) ([]byte, error) {
	line := make(chan []byte, 1)
	go func() {
		defer close(p.ended)
		r := bufio.NewReader(out)
		first, _ := r.ReadBytes('\n')
		line <- first
		_, _ = io.Copy(io.Discard, r)
		_ = p.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case first := <-line:
		return first, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// stop stops the process, and returns when each thread of it has stopped. The signal alone does not
// say so: one thread takes it, and the others work until that has the processor. On two busy
// processors, others answered requests for up to 0.48 s after the signal was sent.
func (p *process) stop() {
	pid := p.cmd.Process.Pid
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	for {
		if _, err := syscall.Wait4(pid, nil, syscall.WUNTRACED, nil); err != syscall.EINTR {
			return // it has stopped, or ended
		}
	}
}

// end sends the process a signal, and waits until it has ended. One that does not end in
// time is killed.
func (p *process) end(s os.Signal) {
	defer p.client.CloseIdleConnections()
	_ = p.cmd.Process.Signal(s)
	if s != syscall.SIGKILL {
		select {
		case <-p.ended:
			return
		case <-time.After(endTimeout):
			_ = p.cmd.Process.Kill()
		}
	}
	<-p.ended
}

// bareAddrs returns the addresses at which it listens.
func (p *process) bareAddrs() []string {
	addrs := make([]string, len(p.Addrs))
	for i, a := range p.Addrs {
		addrs[i] = bare(a)
	}
	return addrs
}

// ready waits until lookups of the node work.
func (p *process) ready(ctx context.Context) error {
	_, _, err := p.call(ctx, http.MethodGet, "/v1/ready", url.Values{"timeout": {startTimeout.String()}}, "")
	return err
}

// call calls the API. A status other than 200 is no error; without an answer, it is 0.
func (p *process) call(ctx context.Context, method, path string, query url.Values, body string) (status int, content []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, p.API+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if content, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, content, nil
}

// do calls the API for an operation.
func (p *process) do(ctx context.Context, r request) answer {
	method, path, param := http.MethodGet, "", "key"
	key := r.key
	switch r.kind {
	case put:
		method, path = http.MethodPut, "/v1/value"
	case get:
		path = "/v1/value"
	case announce:
		method, path, param = http.MethodPost, "/v1/provide", "cid"
	case withdraw:
		method, path, param = http.MethodDelete, "/v1/provide", "cid"
	case providers:
		path, param = "/v1/providers", "cid"
	case advertise:
		method, path, param = http.MethodPost, "/v1/advertise", "ns"
	case discover:
		path, param = "/v1/peers", "ns"
	case find:
		path, param = "/v1/peer", "id"
	case ping:
		path, param = "/v1/ping", "id"
	case closest:
		path, param, key = "/v1/closest", "keyhex", hex.EncodeToString([]byte(r.key))
	case kinds:
	}
	status, content, err := p.call(ctx, method, path, url.Values{param: {key}, "timeout": {operationTimeout.String()}}, r.value)
	if err != nil {
		return answer{outcome: gone, why: err.Error()}
	}
	return answerOf(r.kind, status, content)
}

// An object is what the API answers to any operation.
type object struct {
	Error     string          `json:"error"`
	Wanted    int             `json:"wanted"`
	Addrs     []string        `json:"addrs"`
	Peers     json.RawMessage `json:"peers"` // of a receipt: IDs; else: a list of peerObject
	Providers []peerObject    `json:"providers"`
}

// A peerObject is a peer in an answer of the API.
type peerObject struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

// answerOf reads an answer of the API.
func answerOf(k kind, status int, content []byte) answer {
	if k == get && status == http.StatusOK {
		return answer{value: string(content)}
	}
	var o object
	if err := json.Unmarshal(content, &o); err != nil {
		return answer{outcome: other, why: fmt.Sprintf("%v: %.100q", err, content)}
	}
	a := answer{outcome: outcomeOf(k, status), why: o.Error, wanted: o.Wanted}
	var err error
	switch k {
	case put, announce, advertise:
		if a.outcome == fine {
			err = json.Unmarshal(o.Peers, &a.stored)
		}
	case discover, closest:
		err = json.Unmarshal(cmpRaw(o.Peers), &o.Providers)
	case find:
		o.Providers = []peerObject{{Addrs: o.Addrs}}
	}
	if err != nil {
		return answer{outcome: other, why: fmt.Sprintf("%v: %.100q", err, content)}
	}
	for _, p := range o.Providers {
		at := peerAt{id: p.ID}
		for _, addr := range p.Addrs {
			at.addrs = append(at.addrs, bare(addr))
		}
		a.peers = append(a.peers, at)
	}
	return a
}

// cmpRaw returns JSON, or null if there is none.
func cmpRaw(raw json.RawMessage) []byte { return []byte(cmp.Or(string(raw), "null")) }

// outcomeOf returns what a status of the API means.
func outcomeOf(k kind, status int) outcome {
	switch status {
	case http.StatusOK:
		return fine
	case http.StatusNotFound:
		return absent
	case http.StatusConflict:
		return refused
	case http.StatusServiceUnavailable:
		return notReady
	case http.StatusGatewayTimeout:
		return late
	case http.StatusBadGateway:
		if k == put || k == announce || k == advertise {
			return unstored
		}
		return unanswered
	default:
		return other
	}
}
