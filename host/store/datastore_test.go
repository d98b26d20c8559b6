package store_test

import (
	"testing"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/store/storetest"
)

// wrap opens a store in a datastore in memory.
func wrap(t *testing.T, ds datastore.Batching, l store.Limits) *store.Datastore {
	t.Helper()
	d, err := store.Wrap(t.Context(), ds, l)
	if err != nil {
		t.Fatalf("Wrap() = %v", err)
	}
	return d
}

func emptyDatastore() datastore.Batching { return dssync.MutexWrap(datastore.NewMapDatastore()) }

func TestDatastore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return wrap(t, emptyDatastore(), store.Limits{}) })
}

func TestDatastoreLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, l store.Limits) store.Store { return wrap(t, emptyDatastore(), l) })
}

func TestDatastoreDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T) func(store.Limits) store.Store {
		ds := emptyDatastore()
		return func(l store.Limits) store.Store { return wrap(t, ds, l) }
	})
}
