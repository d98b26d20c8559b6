//go:build unix

package stress

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// identity returns which peer the next process of a slot will be, and the arguments that make it
// that.
func (l *lab) identity(s *slot) (id string, args []string, err error) {
	s.starts++
	var key crypto.PrivKey
	if s.role == forgetful {
		text := fmt.Sprintf("%s node %d start %d", l.name, s.number, s.starts)
		seed := sha256.Sum256([]byte(text)) // as --identity-seed says
		args = []string{"--identity-seed", text}
		key, err = crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	} else {
		dir := filepath.Join(l.dir, fmt.Sprintf("node%02d", s.number))
		args = []string{"--data", dir}
		key, err = kad.LoadIdentity(filepath.Join(dir, "identity.key"))
	}
	if err != nil {
		return "", nil, err
	}
	of, err := peer.IDFromPrivateKey(key)
	return of.String(), args, err
}

// spawn starts a process. One that comes back as the same peer listens where it did. Its life is
// in the ledger before it begins: it serves before it says that it is up.
func (l *lab) spawn(ctx context.Context, s *slot) (*process, error) {
	id, args, err := l.identity(s)
	if err != nil {
		return nil, err
	}
	lf := &life{}
	if s.history != nil && s.history.id == id {
		lf.addrs = s.history.last().addrs
	}
	lf.began = time.Now()
	h := l.enter(s, id, lf)
	p, err := l.run(ctx, s, args, lf.addrs)
	if err == nil && p.ID != id {
		p.end(syscall.SIGKILL)
		err = fmt.Errorf("it is %s, and should be %s", p.ID, id)
	}
	if err != nil {
		l.ledger.note(func() { lf.ending, lf.ended = lf.began, time.Now() })
		return nil, err
	}
	l.ledger.note(func() { lf.addrs, lf.up = p.bareAddrs(), time.Now() })
	l.place(s, p, h)
	return p, nil
}

// run starts the process of a slot, which listens at some addresses, or, if there are none, at ones
// that are free.
func (l *lab) run(ctx context.Context, s *slot, args, listen []string) (*process, error) {
	if len(listen) == 0 {
		listen = []string{"/ip4/127.0.0.1/tcp/0"}
		if s.number%3 == 0 {
			listen = append(listen, "/ip4/127.0.0.1/udp/0/quic-v1")
		}
	}
	st := start{program: l.program, clock: s.role.clock(), log: filepath.Join(l.dir, fmt.Sprintf("node%02d.log", s.number))}
	st.args = append([]string{"--network", l.name, "--k", strconv.Itoa(l.k), "--open-namespace", "v", "--mode", "server", "--log", "error"}, args...)
	switch s.role {
	case client:
		st.args = append(st.args, "--mode", "client")
	case fewDescriptors:
		st.descriptors = descriptors
	}
	for _, a := range listen {
		st.args = append(st.args, "--listen", a)
	}
	for _, a := range l.join {
		st.args = append(st.args, "--join", a)
	}
	return st.run(ctx)
}
