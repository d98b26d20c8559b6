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

// Quorum is an option of Put, PutValue, GetValue, GetValues and SearchValue. A get returns
// as soon as n peers, this node included, have given the best value that was found; a
// put fails unless n other peers have stored it. If 0, which is the default, a get asks
// all of the k closest peers, and a put needs one.
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
// that lie mislead only the paths that ask them; with a [Quorum], each path needs an answer
// of its own that agrees. If 0, there is one path.
//
// In simulations with 10 000 nodes, of which a fifth lie and name accomplices next to the
// key, the lookup reaches the honest peer closest to the key in 92 % of cases with one path
// or two, in 97 % with four, and always with eight, which take 58 requests instead of 42.
func Paths(n int) lrouting.Option {
	return func(o *lrouting.Options) error {
		if n < 0 {
			return fmt.Errorf("kad: Paths(%d): use 0 or more", n)
		}
		setOption(o, pathsKey{}, n)
		return nil
	}
}

// WaitDirect is an option of Connect: how long it waits for a direct connection, by hole
// punching, to a peer that it has reached through a relay. A hole takes less than a second
// where both sides have common routers, and 11s to 21s where the first two attempts fail, as
// with some symmetric routers; with others it never succeeds. With 0, Connect does not wait.
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
