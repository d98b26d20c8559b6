package host

import (
	"fmt"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

// Keys of options.
type (
	quorumKey struct{}
	pathsKey  struct{}
	directKey struct{}
)

// Quorum is an option of Put, PutValue, GetValue and SearchValue. A get returns
// as soon as n peers, the node itself included, have given the best value; a
// put fails unless n peers have stored it. If 0, which is the default, a get asks
// all of the k closest, and a put needs one.
func Quorum(n int) lrouting.Option {
	return func(o *lrouting.Options) error {
		if n < 0 {
			return fmt.Errorf("kad: Quorum(%d): use 0 or more", n)
		}
		setOption(o, quorumKey{}, n)
		return nil
	}
}

// Paths is an option of Put, PutValue, GetValue, GetValues and SearchValue: the number
// of disjoint paths of its lookup (the d of S/Kademlia), from 1 to Config.Alpha. Peers
// that lie mislead only the paths that ask them, and a quorum must agree on each path.
// If 0, there is one path.
//
// Where a fifth of 10 000 nodes lie and name accomplices next to the key, a simulated
// lookup reaches the honest peer closest to it in 92 % with one path or two, in 97 % with
// four and always with eight, which take 58 requests in place of 42.
func Paths(n int) lrouting.Option {
	return func(o *lrouting.Options) error {
		if n < 0 {
			return fmt.Errorf("kad: Paths(%d): use 0 or more", n)
		}
		setOption(o, pathsKey{}, n)
		return nil
	}
}

// WaitDirect is an option of Connect. It is how long a peer that was reached through a
// relay has until there is a direct connection, by hole punching. That takes under a
// second where both sides have common routers; 11s to 21s where the first two attempts
// fail, as with some symmetric ones; or never happens. With 0, Connect does not wait.
// Without the option, 15s.
func WaitDirect(d time.Duration) lrouting.Option {
	return func(o *lrouting.Options) error {
		if d < 0 {
			return fmt.Errorf("kad: WaitDirect(%v): use 0 or more", d)
		}
		setOption(o, directKey{}, d)
		return nil
	}
}

// waitDirect is how long Connect waits without the option.
const waitDirect = 15 * time.Second

func setOption(o *lrouting.Options, key, value any) {
	if o.Other == nil {
		o.Other = make(map[any]any)
	}
	o.Other[key] = value
}

// An options is what the routing options of a call come to.
type options struct {
	lrouting.Options
	quorum int
	paths  int           // 0: one
	direct time.Duration // how long to wait for a direct connection
}

// optionsOf applies the options of a call. alpha is the most paths.
func optionsOf(opts []lrouting.Option, alpha int) (options, error) {
	var o options
	if err := o.Apply(opts...); err != nil {
		return o, err
	}
	o.quorum, _ = o.Other[quorumKey{}].(int)
	o.paths, _ = o.Other[pathsKey{}].(int)
	o.direct = waitDirect
	if wait, ok := o.Other[directKey{}].(time.Duration); ok {
		o.direct = wait
	}
	if o.paths > alpha {
		return o, fmt.Errorf("kad: Paths(%d): use no more than Config.Alpha, %d", o.paths, alpha)
	}
	return o, nil
}
