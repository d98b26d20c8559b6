package store

import (
	"context"
	"time"

	"go.etcd.io/bbolt"
)

// Expire implements [Store]. It removes values and providers in the order in
// which they expired, a few at a time, so that writers do not wait long. Between
// commits it rests for as long as they take. If there is a write meanwhile, the next
// part of the sweep is committed together with it.
func (d *Disk) Expire(ctx context.Context, now time.Time, limit int) (removed int, next time.Time, err error) {
	err = d.view(ctx, func(tx *bbolt.Tx) error {
		next = nextExpiry(tx.Bucket(bucketExpiry()))
		return nil
	})
	rest := time.Duration(0)
	for err == nil && !next.IsZero() && !now.IsZero() && !next.After(now) {
		n := sweepBatch
		if limit > 0 {
			n = min(n, limit-removed)
		}
		if n == 0 {
			break
		}
		swept := 0
		w := &write{apply: func(b *batch) (err error) {
			swept, err = b.sweep(now, n)
			next = nextExpiry(b.expiry)
			return err
		}}
		if err = d.enqueue(ctx, w); err != nil {
			break
		}
		time.Sleep(rest) // the turn of those who write: they take it along
		if err = d.await(w); err == nil {
			removed += swept
		}
		rest = min(w.took, sweepRest)
	}
	return removed, next, err
}
