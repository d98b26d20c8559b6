package host

import (
	"context"
	"fmt"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/observe"
)

// A Reducer is a validator of a namespace whose keys hold a set of values. Without
// it, a key holds one value, the one that Select prefers.
//
// Reduce merges the values that arrived for a key, each of them valid, into the values
// that the key is to hold, for instance the newest of each author. The result must not
// depend on the order in which they arrived, and reducing the result again must not change
// it. Select then says which of them GetValue returns.
//
// A Reducer that also has the method Limits() (values, size int) bounds what one key
// holds: how many values, and how many bytes together. A put that would exceed that is
// refused. Without the method, and for a limit of 0, it is 64 values and 64 KiB. More than
// 256 values and 1 MiB have no effect, since a message holds no more.
type Reducer interface {
	record.Validator

	Reduce(key string, values [][]byte) ([][]byte, error)
}

// PutValue stores a value under a key on the k peers closest to it. It is
// [DHT.Put] without the receipt: it fails if no peer stored the value.
func (d *DHT) PutValue(ctx context.Context, key string, value []byte, opts ...lrouting.Option) error {
	_, err := d.Put(ctx, key, value, opts...)
	return err
}

// Put stores a value under a key, "/namespace/rest", on the k peers closest to
// it, and on this node. The receipt says which peers stored it, and why others did not.
// The error is [ErrInvalidRecord] if the validator of the namespace does not accept
// the value, or there is none; [ErrOldRecord] if this node holds a better one; and a
// [*PutError] if fewer peers stored it than [Quorum] asks for, or none. Without a
// Quorum, Put returns when three quarters of k peers have stored it, and the others had the
// time in which answers usually come; with a Quorum, as soon as that is reached. The rest
// goes on: see [Receipt.Wait].
//
// Once a peer has stored the value, the node publishes it again every
// Config.RepublishInterval, until [DHT.StopPublishing], or until there is a better value.
//
// With the option Offline of core/routing, the value is stored on this node alone, and not
// published again.
//
// Spec: libp2p kad-dht, "Value storage and retrieval".
func (d *DHT) Put(ctx context.Context, key string, value []byte, opts ...lrouting.Option) (receipt Receipt, err error) {
	ctx, op, err := begin(ctx, d, observe.Put)
	if err != nil {
		return Receipt{}, err
	}
	defer func() { op.ended(err) }()
	o, err := optionsOf(opts, d.cfg.Alpha)
	if err != nil {
		return Receipt{}, err
	}
	if o.Offline {
		return Receipt{}, public(d.publish.PutOffline(ctx, op.began, []byte(key), value))
	}
	sent, err := d.publish.Put(ctx, op.began, []byte(key), value, o.paths, o.quorum)
	return receiptOf(sent), op.public(err)
}

// GetPublicKey returns the public key of a peer: at once if its ID contains the key, or if
// the host knows it, as it does for every connected peer. Else it gets the value under
// "/pk/" and the ID, which needs the validator of that namespace: PublicKey of package
// host/validator. The errors are those of GetValue. With this method, a DHT is a
// routing.PubKeyFetcher of go-libp2p.
func (d *DHT) GetPublicKey(ctx context.Context, id peer.ID) (crypto.PubKey, error) {
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if key := d.host.Peerstore().PubKey(id); key != nil {
		return key, nil
	}
	encoded, err := d.GetValue(ctx, lrouting.KeyForPublicKey(id))
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPublicKey(encoded)
	if err != nil || !id.MatchesPublicKey(key) {
		return nil, fmt.Errorf("%w: what is stored as the public key of %s is not", ErrInvalidRecord, id)
	}
	return key, nil
}

// StopPublishing ends the publication of a value of this node: it is not published
// again. Holders, this node among them, keep it until it expires.
func (d *DHT) StopPublishing(ctx context.Context, key string) error {
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return public(d.publish.StopPublishing(ctx, []byte(key)))
}

// GetValue returns the best value under a key, by the order of the validator
// of its namespace. It asks the k closest peers, or stops at the [Quorum].
// Afterwards, in the background, the best value is sent to holders of a worse one, and to
// those of the k closest peers that have none, and a copy is left with a peer on the way,
// unless Config.PublisherOnly is set.
//
// The error is [ErrNotFound] if more than half of the closest peers answered, and none has a
// valid value; [ErrUnanswered] if fewer answered; and the cause of ctx if that ends first,
// even if a value was found: there may be a better one. While the node has no network,
// GetValue returns the value that this node holds itself, if there is one, after
// Config.SlowAfter. A get that has found nothing waits for late answers of the closest peers
// that are connected, within Config.RequestTimeout.
//
// Options of core/routing: with Offline, only what this node holds counts; with Expired, also
// what it holds that has expired.
func (d *DHT) GetValue(ctx context.Context, key string, opts ...lrouting.Option) ([]byte, error) {
	values, err := d.GetValues(ctx, key, opts...)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// GetValues is [DHT.GetValue] for a key that holds several values, since its
// validator is a [Reducer]: it collects the values that the peers have, and merges them. The
// first value is the one that GetValue returns. With a [Quorum], it returns as
// soon as so many peers have given all values that were found.
func (d *DHT) GetValues(ctx context.Context, key string, opts ...lrouting.Option) (values [][]byte, err error) {
	ctx, op, err := begin(ctx, d, observe.Get)
	if err != nil {
		return nil, err
	}
	defer func() { op.ended(err) }()
	o, err := optionsOf(opts, d.cfg.Alpha)
	if err != nil {
		return nil, err
	}
	values, err = d.find.Values(ctx, []byte(key), o.values(nil))
	if o.Offline {
		return values, public(err) // whatever the network is like
	}
	return values, op.public(err)
}

// values returns the options of a get, for the room that finds values.
func (o options) values(improved func([]byte)) find.ValuesOptions {
	return find.ValuesOptions{Quorum: o.quorum, Paths: o.paths, Offline: o.Offline, Expired: o.Expired, Improved: improved}
}

// SearchValue is [DHT.GetValue] as a channel of the values as they are found: each is
// better than the one before. The channel is closed at the end. A slow reader misses values
// in between, never the last one. Unless this node holds a value itself, SearchValue waits until
// it is ready first, and fails with a [*NotReadyError] if it is not; to see later errors, use
// GetValue, or the query events of ctx, of which the last one is a QueryError without a peer then.
func (d *DHT) SearchValue(ctx context.Context, key string, opts ...lrouting.Option) (<-chan []byte, error) {
	if _, err := d.rules.Of([]byte(key)); err != nil {
		return nil, err
	}
	o, err := optionsOf(opts, d.cfg.Alpha)
	if err != nil {
		return nil, err
	}
	held := o.values(nil)
	held.Offline = true
	if _, none := d.find.Values(ctx, []byte(key), held); none != nil && !o.Offline {
		if err := d.table.ReadyWithin(ctx); err != nil {
			return nil, public(err)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	values := make(chan []byte, 1)
	improved := func(value []byte) {
		select {
		case <-values: // superseded, and not read yet
		default:
		}
		values <- value // there is room: no other goroutine sends
	}
	started := d.tasks.Go(func(context.Context) {
		defer close(values)
		searching, op, err := begin(ctx, d, observe.Get)
		if err != nil {
			return
		}
		_, err = d.find.Values(searching, []byte(key), o.values(improved))
		err = op.public(err)
		if op.ended(err); err != nil {
			log.Debugw("search value", "key", key, "error", err)
			tellEnd(ctx, d.tasks, err)
		}
	})
	if !started {
		return nil, ErrClosed
	}
	return values, nil
}
