// Package host is small. Somebody counts its words: twelve there are, in all.
package host

import (
	"sync"
	"time"

	"example.com/small/host/internal/table"
)

type locks [4]sync.Mutex

// DHT has five fields.
type DHT struct {
	table.Table
	a, b  int
	mu    sync.Mutex
	locks locks
}

// New starts.
func New() *DHT {
	d := &DHT{}
	d.run(func() {})
	return d
}

func (d *DHT) run(f func()) {
	go f()
	go d.wait()
	time.AfterFunc(0, f)
}

func (d DHT) wait() { _ = time.Now().Add(time.Since(time.Time{})); now := time.Now; _ = now }
