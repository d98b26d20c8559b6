package host

import (
	"fmt"

	lrouting "github.com/libp2p/go-libp2p/core/routing"
)

type quorumKey struct{}

// Quorum is an option of Put, PutValue, GetValue and SearchValue. A get returns
// as soon as n peers, the node itself included, have given the best value; a
// put fails unless n peers have stored it. If 0, which is the default, a get asks
// all of the k closest, and a put needs one.
func Quorum(n int) lrouting.Option {
	return func(o *lrouting.Options) error {
		if n < 0 {
			return fmt.Errorf("kad: Quorum(%d): use 0 or more", n)
		}
		if o.Other == nil {
			o.Other = make(map[any]any)
		}
		o.Other[quorumKey{}] = n
		return nil
	}
}

// An options is what the routing options of a call come to.
type options struct {
	lrouting.Options
	quorum int
}

func applyOptions(opts []lrouting.Option) (options, error) {
	var o options
	if err := o.Apply(opts...); err != nil {
		return o, err
	}
	o.quorum, _ = o.Other[quorumKey{}].(int)
	return o, nil
}
